"""Ledgers, backoff, session ids, tasks: the small parts that the others stand on."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from draftmesh.coordinator.backoff import Backoff, BackoffConfig
from draftmesh.coordinator.sessions.ids import new_session_id, shard_of
from draftmesh.coordinator.tasks import Inbox, Signal, Switch, any_change, background, race
from draftmesh.core.errors import UnavailableError, UnknownSessionError
from draftmesh.core.ledger import Ledger, add
from tests.helpers.virtual_time import run_virtual


def test_ledgers_add_up() -> None:
    """Numbers add, positions add one by one, and the longer list decides."""
    first = Ledger(rounds=1, draft_wait_ms=1.5, accepted_per_position=(1, 1), drafted_per_position=(1, 1, 1))
    second = Ledger(rounds=2, drafted_tokens=4, accepted_per_position=(1,), drafted_per_position=(2, 2, 2, 2))
    expected = Ledger(
        rounds=3, drafted_tokens=4, draft_wait_ms=1.5, accepted_per_position=(2, 1), drafted_per_position=(3, 3, 3, 2)
    )
    assert add(first, second) == expected


def test_backoff_grows_and_is_bounded() -> None:
    """Delays lie between half the bound and the bound, which doubles up to its limit, and starts again."""
    backoff = Backoff(BackoffConfig(first_ms=10.0, factor=2.0, longest_ms=40.0), Random(1))
    bounds_ms = [10.0, 20.0, 40.0, 40.0]
    for bound_ms in bounds_ms:
        assert bound_ms / 2 <= 1e3 * backoff.next_s() <= bound_ms
    backoff.reset()
    assert 1e3 * backoff.next_s() <= 10.0


@pytest.mark.parametrize("shard", [0, 1, 12345])
def test_a_session_id_gives_its_shard_back(shard: int) -> None:
    """The id encodes the owner."""
    assert shard_of(new_session_id(shard)) == shard


def test_session_ids_differ() -> None:
    """Nobody can guess one from another."""
    assert len({new_session_id(0) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text",
    ["", "s1", "s-1-" + "0" * 32, "s01-" + "0" * 32, "s1-" + "0" * 31, "s1-" + "G" * 32, "s1-" + "0" * 32 + "\n"],
)
def test_nonsense_is_no_session_id(text: str) -> None:
    """Only what we mint is parsed."""
    with pytest.raises(UnknownSessionError):
        shard_of(text)


def test_a_race_ends_with_the_first() -> None:
    """The others are cancelled, and what the first one raised is raised."""
    ended: list[str] = []

    async def loser() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append("cancelled")

    async def winner() -> None:
        await asyncio.sleep(1)
        raise UnavailableError("gone")

    with pytest.raises(UnavailableError):
        run_virtual(race(loser(), winner()))
    assert ended == ["cancelled"]


def test_a_background_job_that_broke_is_heard_of() -> None:
    """An error of the job is raised at the end of the block, unless the block itself raises."""

    async def job() -> None:
        raise ValueError("a bug")

    async def main() -> None:
        async with background(job()):
            await asyncio.sleep(1)

    with pytest.raises(ValueError, match="a bug"):
        run_virtual(main())


def test_an_inbox_gives_messages_before_the_error_that_follows_them() -> None:
    """A reader that wakes once for both still meets both."""

    async def main() -> list[object]:
        wake, queue = asyncio.Event(), iter([1, 2])

        async def receive() -> int:
            for message in queue:
                return message
            raise UnavailableError("the end")

        inbox = Inbox(receive, wake)
        heard: list[object] = []
        async with background(inbox.pump()):
            while True:
                await wake.wait()
                wake.clear()
                try:
                    heard += inbox.take()
                except UnavailableError:
                    return heard

    assert run_virtual(main()) == [1, 2]


def test_an_inbox_loses_nothing_that_arrives_between_two_looks() -> None:
    """Taking while the pump waits for the next message does not divert that message."""

    async def main() -> list[int]:
        wake, queue = asyncio.Event(), asyncio.Queue[int]()
        inbox = Inbox(queue.get, wake)
        heard: list[int] = []
        async with background(inbox.pump()):
            for number in range(5):
                await queue.put(number)
                await wake.wait()
                wake.clear()
                heard += inbox.take()
        return heard

    assert run_virtual(main()) == [0, 1, 2, 3, 4]


def test_a_signal_wakes_everybody_once() -> None:
    """Those who wait are woken; who waits afterwards waits for the next change."""

    async def main() -> list[str]:
        first, second, woken = Signal(), Signal(), []

        async def wait(name: str) -> None:
            await any_change(first, second)
            woken.append(name)

        tasks = [asyncio.create_task(wait(name)) for name in "ab"]
        await asyncio.sleep(1)
        second.notify()
        await asyncio.gather(*tasks)
        late = asyncio.create_task(wait("c"))
        await asyncio.sleep(1)
        late.cancel()
        return woken

    assert run_virtual(main()) == ["a", "b"]


def test_a_switch_can_be_waited_for_either_way() -> None:
    """What it is already is not waited for; turning it wakes those who wait for the other thing."""

    async def main() -> None:
        switch = Switch(is_on=True)
        await switch.on()
        off = asyncio.create_task(switch.off())
        await asyncio.sleep(0)
        assert (switch.is_on, off.done()) == (True, False)
        switch.turn(on=False)
        switch.turn(on=False)
        await off
        assert not switch.is_on

    run_virtual(main())
