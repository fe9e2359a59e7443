"""What lies between a stream and the engine is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from draftmesh.core.errors import UnavailableError
from draftmesh.engine.engine import Engine
from draftmesh.engine.engine_thread import EngineThread
from draftmesh.verifier.inbox import Inbox
from tests.helpers.engines import fake_engine


class HeldThread(EngineThread):
    """An engine's thread in the middle of a step that ends when told."""

    def __init__(self) -> None:
        super().__init__(lambda: fake_engine()[0])
        self.posted: list[Callable[[Engine], None]] = []
        self.is_closed = False

    def post(self, fn: Callable[[Engine], None]) -> None:
        """Keep it."""
        if self.is_closed:
            raise UnavailableError("closed")
        self.posted.append(fn)

    def run_one(self) -> None:
        """Do what was posted first."""
        self.posted.pop(0)(fake_engine()[0])


async def test_room_comes_when_the_engine_has_taken_a_message() -> None:
    """A full inbox lets nobody through until one of its messages has had its turn."""
    thread = HeldThread()
    inbox = Inbox(thread, max_backlog=2)
    done: list[int] = []
    for number in range(2):
        inbox.post(lambda number=number: done.append(number))  # type: ignore[misc]  # bound by default
    room = asyncio.ensure_future(inbox.wait_for_room())
    await asyncio.sleep(0)
    assert not room.done()
    thread.run_one()
    await room
    assert done == [0]


async def test_there_is_room_at_first() -> None:
    """Nobody waits for an inbox with place."""
    inbox = Inbox(HeldThread(), max_backlog=2)
    inbox.post(lambda: None)
    await inbox.wait_for_room()


async def test_message_that_raises_makes_room_too() -> None:
    """An error is the engine thread's to log."""
    thread = HeldThread()
    inbox = Inbox(thread, max_backlog=1)

    def fail() -> None:
        raise ValueError("no")

    inbox.post(fail)
    with pytest.raises(ValueError, match="no"):
        thread.run_one()
    await inbox.wait_for_room()


async def test_message_that_the_engine_refused_takes_no_room() -> None:
    """A closed engine holds nothing."""
    thread = HeldThread()
    inbox = Inbox(thread, max_backlog=1)
    thread.is_closed = True
    with pytest.raises(UnavailableError):
        inbox.post(lambda: None)
    await inbox.wait_for_room()
