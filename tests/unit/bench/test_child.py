"""Child processes and their pipes."""

from __future__ import annotations

from contextlib import suppress
from multiprocessing.connection import Connection

import pytest

from draftmesh.bench.child import child_process
from draftmesh.core.errors import UnavailableError
from draftmesh.transport import event_loop
from tests.helpers.processes import survivors

pytestmark = pytest.mark.timeout(60)


def echo(pipe: Connection, prefix: str) -> None:
    """Answer until the pipe closes."""
    try:
        while True:
            pipe.send(f"{prefix}{pipe.recv()}")
    except EOFError:
        pass


def answer_too_late(pipe: Connection) -> None:
    """Answer when the other side has gone."""
    with suppress(EOFError):
        pipe.recv()
    pipe.send("too late")


def end_at_once(pipe: Connection) -> None:
    """Answer nothing."""
    pipe.close()


async def test_a_child_answers_and_ends_with_its_context() -> None:
    """Each message gets its answer; nothing is left behind."""
    async with child_process("echo", echo, prefix="> ") as child:
        for word in ("one", "two"):
            child.pipe.send(word)
            assert await child.receive(timeout_s=30.0) == f"> {word}"
    assert not survivors(frozenset({child.pid}), timeout_s=0.0)


def test_what_is_long_comes_whole() -> None:
    """On the event loop of benchmarks too, with many more bytes than a pipe holds at a time, both ways."""

    async def echoed(word: str) -> object:
        async with child_process("echo", echo, prefix="> ") as child:
            for _ in range(2):
                child.pipe.send(word)
                answer = await child.receive(timeout_s=30.0)
            return answer

    word = "long" * (1 << 20)
    assert event_loop.run(echoed(word)) == f"> {word}"


async def test_a_child_that_ends_unasked_is_named() -> None:
    """Instead of waiting for what will not come."""
    async with child_process("mute", end_at_once) as child:
        with pytest.raises(UnavailableError, match="mute ended unasked"):
            await child.receive(timeout_s=30.0)


async def test_a_child_whose_answer_nobody_awaits_ends_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    """Its pipe is closed while it works; that is no failure."""
    async with child_process("late", answer_too_late):
        pass
    assert "Traceback" not in capfd.readouterr().err


async def test_a_child_that_says_nothing_is_not_waited_for() -> None:
    """Beyond the given time."""
    async with child_process("echo", echo, prefix="") as child:
        with pytest.raises(UnavailableError, match=r"nothing for 0\.01 s"):
            await child.receive(timeout_s=0.01)
