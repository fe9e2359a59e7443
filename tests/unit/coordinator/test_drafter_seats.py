"""Seats at drafters: who is taken, what is learned there, and when a session is to leave; in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from draftmesh.coordinator.pools.drafter_seating import DrafterRouting, DrafterSeats
from draftmesh.coordinator.pools.pool import DrafterPool
from draftmesh.coordinator.routing.config import RoutingConfig
from draftmesh.coordinator.routing.moving import MovingConfig
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.errors import DraftmeshError, ExhaustedError, UnavailableError
from draftmesh.core.ledger import Ledger
from tests.helpers.coordinator_bench import fake_drafter, pool_of
from tests.helpers.generation_bench import make_instruments
from tests.helpers.peers.text_drafters import FakeDrafter
from tests.helpers.simulated_drafters import TRAFFIC, WISH, teach
from tests.helpers.virtual_time import run_virtual

FULL, FREE = LoadReport(active_sessions=8, max_sessions=8), LoadReport(max_sessions=8)


def drafter(digest: bytes) -> FakeDrafter:
    """Of a digest of its own."""
    peer = fake_drafter()
    peer.digest = digest
    return peer


def routing_of(config: RoutingConfig | None = None, **known: float) -> DrafterRouting:
    """A shard's, which is sure of the rates of these drafters; addresses are digests too."""
    routing = DrafterRouting.create(config or RoutingConfig(), make_instruments())
    for address, bytes_per_s in known.items():
        teach(routing.rates, address, bytes_per_s, digest=address.encode())
    return routing


def seats_of(pool: DrafterPool, routing: DrafterRouting) -> DrafterSeats:
    """Of one session."""
    return DrafterSeats(pool, routing, WISH, TRAFFIC)


def test_what_is_done_in_a_seat_is_known_of_its_drafter() -> None:
    """Accepted bytes per second, once the seat is left."""

    async def main() -> None:
        pool, routing = pool_of(a=drafter(b"a")), routing_of()
        async with pool.open(["a"]):
            seat = await seats_of(pool, routing).acquire()
            with seat.taken():
                for _ in range(2):
                    seat.record(Ledger(committed_tokens=10, committed_bytes=40, accepted_tokens=5, elapsed_ms=500.0))
                assert routing.rates.beliefs(TRAFFIC).best_bytes_per_s == 0.0
            assert routing.rates.beliefs(TRAFFIC).best_bytes_per_s == pytest.approx(40.0)

    run_virtual(main())


@pytest.mark.parametrize(("error", "remembered"), [(UnavailableError("died"), True), (ExhaustedError("full"), False)])
def test_a_drafter_that_fails_is_remembered_for_it(error: DraftmeshError, remembered: bool) -> None:
    """One that is full is not: that says nothing of its drafts."""

    async def main() -> None:
        pool, routing = pool_of(a=drafter(b"a")), routing_of(b=100.0)
        async with pool.open(["a"]):
            seat = await seats_of(pool, routing).acquire()
            with pytest.raises(type(error)), seat.taken():
                raise error
            estimate = routing.rates.beliefs(TRAFFIC).of("a", b"a")
            assert estimate is not None
            assert (estimate.mean < 99.0) == remembered

    run_virtual(main())


def test_the_drafter_that_wins_most_is_taken() -> None:
    """Of drafters of equal load."""

    async def main() -> None:
        pool, routing = pool_of(a=drafter(b"a"), b=drafter(b"b")), routing_of(a=10.0, b=100.0)
        async with pool.open(["a", "b"]):
            await asyncio.sleep(1)
            assert {(await seats_of(pool, routing).acquire()).address for _ in range(20)} == {"b"}

    run_virtual(main())


def leaving_times(
    known: dict[str, float], *, sessions: int = 1, moving: MovingConfig | None = None
) -> list[tuple[float, str]]:
    """Sessions begin at ``a`` while ``b`` is full; ``b`` is free from 5 s on. When they are to leave, and for whom."""
    left: list[tuple[float, str]] = []

    async def run(pool: DrafterPool, routing: DrafterRouting) -> None:
        seats = seats_of(pool, routing)
        seat = await seats.acquire()
        with seat.taken():
            assert seat.address == "a"
            await seat.retired()
        left.append((asyncio.get_running_loop().time(), (await seats.acquire(failed=frozenset({"a"}))).address))

    async def main() -> None:
        good = drafter(b"b")
        good.reports.say(FULL)
        pool, routing = (
            pool_of(a=drafter(b"a"), b=good),
            routing_of(RoutingConfig(moving=moving or MovingConfig()), **known),
        )
        async with pool.open(["a", "b"]):
            await asyncio.sleep(1)
            running = [asyncio.create_task(run(pool, routing)) for _ in range(sessions)]
            await asyncio.sleep(4)
            good.reports.say(FREE)
            await asyncio.sleep(30)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    run_virtual(main())
    return left


def test_a_session_leaves_when_a_clearly_better_drafter_is_free() -> None:
    """Not before, soon afterwards, and for that one."""
    ((left_s, destination),) = leaving_times({"a": 10.0, "b": 100.0})
    assert 5.0 < left_s <= 6.5
    assert destination == "b"


@pytest.mark.parametrize(
    ("known", "moving"),
    [
        ({"a": 90.0, "b": 100.0}, MovingConfig()),
        ({"a": 100.0}, MovingConfig()),
        ({"b": 100.0}, MovingConfig()),
        ({"a": 10.0, "b": 100.0}, MovingConfig(max_moves=0)),
    ],
)
def test_it_stays_for_what_may_be_better(known: dict[str, float], moving: MovingConfig) -> None:
    """A drafter a little better, one that is new, or any one when its own is new or it may not move."""
    assert leaving_times(known, moving=moving) == []


def test_sessions_leave_one_by_one() -> None:
    """So that the rate of the one that they go to shows what each has cost it."""
    times_s = [left_s for left_s, _ in leaving_times({"a": 10.0, "b": 100.0}, sessions=4)]
    assert len(times_s) == 4
    assert all(later - earlier >= 2.0 for earlier, later in pairwise(times_s))


def test_a_session_whose_model_was_chosen_stays_with_that_model() -> None:
    """However good another one is: the choice of the method was made for it."""

    async def main() -> None:
        pool, routing = pool_of(a=drafter(b"a"), b=drafter(b"b")), routing_of(a=10.0, b=100.0)
        async with pool.open(["a", "b"]):
            await asyncio.sleep(1)
            seats = DrafterSeats(pool, routing, replace(WISH, preferred_digest=b"a"), TRAFFIC)
            seat = await seats.acquire()
            assert (seat.address, seats.leave(pool.members[0])) == ("a", False)

    run_virtual(main())


def test_a_session_goes_to_no_drafter_that_it_has_banned() -> None:
    """One that breaks the protocol is not better."""

    async def main() -> None:
        pool, routing = pool_of(a=drafter(b"a"), b=drafter(b"b")), routing_of(a=10.0, b=100.0)
        async with pool.open(["a", "b"]):
            await asyncio.sleep(1)
            seats = seats_of(pool, routing)
            await seats.acquire(banned=frozenset({"b"}))
            assert not seats.leave(pool.members[0])

    run_virtual(main())


def test_a_drafter_that_was_left_is_the_last_resort() -> None:
    """What the session went to fails: another one is taken before the one that it left."""

    async def main() -> None:
        peers = {name: drafter(name.encode()) for name in "abc"}
        pool, routing = pool_of(**peers), routing_of(a=20.0, b=100.0, c=10.0)
        async with pool.open(["a", "b", "c"]):
            await asyncio.sleep(1)
            seats = seats_of(pool, routing)
            assert seats.leave(pool.members[0])
            assert (await seats.acquire(failed=frozenset({"a"}))).address == "b"
            assert (await seats.acquire(failed=frozenset({"b"}))).address == "c"
            peers["c"].reports.say(FULL)
            await asyncio.sleep(1)
            assert (await seats.acquire(failed=frozenset({"b"}))).address in {"a", "b"}

    run_virtual(main())
