"""The way of one session's messages from its proposer's thread to its stream."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from draftmesh.core.draft import Block
from draftmesh.core.errors import DraftmeshError
from draftmesh.transport.codec_common import Draining

Outgoing = Block | Draining


class Outbox:
    """A session's :class:`~draftmesh.drafter.session.Outlet`: any thread may put, one task of the event loop reads.

    It needs no bound: a session draws a limited number of tokens ahead of each commit.
    """

    def __init__(self) -> None:
        """Belong to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Outgoing | DraftmeshError | None] = asyncio.Queue()

    def emit(self, block: Block) -> None:
        """Send a block."""
        self._put(block)

    def announce(self, draining: Draining) -> None:
        """Say that the drafter will stop."""
        self._put(draining)

    def fail(self, error: DraftmeshError) -> None:
        """End the stream with an error, after what was put before."""
        self._put(error)

    def close(self) -> None:
        """End the stream, after what was put before."""
        self._put(None)

    async def get(self) -> Outgoing | None:
        """The next message, or None at the end; raises the error that the stream ends with."""
        message = await self._queue.get()
        if isinstance(message, DraftmeshError):
            raise message
        return message

    def _put(self, message: Outgoing | DraftmeshError | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to read
            self._loop.call_soon_threadsafe(self._queue.put_nowait, message)
