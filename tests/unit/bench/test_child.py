"""Child processes and their pipes."""

from __future__ import annotations

from multiprocessing.connection import Connection

import pytest

from draftmesh.bench.child import child_process
from draftmesh.core.errors import UnavailableError
from tests.helpers.processes import survivors

pytestmark = pytest.mark.timeout(60)


def echo(pipe: Connection, prefix: str) -> None:
    """Answer until the pipe closes."""
    try:
        while True:
            pipe.send(f"{prefix}{pipe.recv()}")
    except EOFError:
        pass


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


async def test_a_child_that_ends_unasked_is_named() -> None:
    """Instead of waiting for what will not come."""
    async with child_process("mute", end_at_once) as child:
        with pytest.raises(UnavailableError, match="mute ended unasked"):
            await child.receive(timeout_s=30.0)


async def test_a_child_that_says_nothing_is_not_waited_for() -> None:
    """Beyond the given time."""
    async with child_process("echo", echo, prefix="") as child:
        with pytest.raises(UnavailableError, match=r"nothing for 0\.01 s"):
            await child.receive(timeout_s=0.01)
