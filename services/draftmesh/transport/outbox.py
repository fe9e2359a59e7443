"""The way of one session's messages from its engine's thread to its stream."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Generic, TypeVar

MAX_BACKLOG = 64
"""Messages that may lie here before no more requests are read: a peer that asks and never listens gets no further."""

T = TypeVar("T")


class Outbox(Generic[T]):
    """A queue that any thread may put into; its end, or the error that it ends with, comes after what was put before.

    Putting never waits, as the engine must not. What a session can put unasked is bounded by its tokens; what it is
    asked for can be bounded by :meth:`wait_for_room`.
    """

    def __init__(self, max_backlog: int = MAX_BACKLOG) -> None:
        """Belongs to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[T | Exception | None] = asyncio.Queue()
        self._max_backlog = max_backlog
        self._taken = asyncio.Event()

    def put(self, message: T) -> None:
        """Send a message."""
        self._put(message)

    def close(self, error: Exception | None = None) -> None:
        """End the stream, with an error or without."""
        self._put(error)

    async def get(self) -> T | None:
        """The next message, or None at the end; raises the error that the stream ends with."""
        message = await self._queue.get()
        self._taken.set()
        if isinstance(message, Exception):
            raise message
        return message

    async def wait_for_room(self) -> None:
        """Return when few enough messages wait to be taken."""
        while self._queue.qsize() >= self._max_backlog:
            self._taken.clear()
            await self._taken.wait()

    def _put(self, message: T | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to read
            self._loop.call_soon_threadsafe(self._queue.put_nowait, message)
