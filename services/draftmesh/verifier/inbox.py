"""The way of one session's messages from its stream to its engine's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from draftmesh.engine.engine_thread import EngineThread

MAX_BACKLOG = 16
"""Messages that may lie here before no more requests are read: a long step must not gather them without end."""


class Inbox:
    """Posts to the engine's thread, and counts what it has not got round to. Belongs to the running event loop."""

    def __init__(self, engine: EngineThread, max_backlog: int = MAX_BACKLOG) -> None:
        self._engine = engine
        self._max_backlog = max_backlog
        self._loop = asyncio.get_running_loop()
        self._backlog = 0
        self._taken = asyncio.Event()

    def post(self, work: Callable[[], None]) -> None:
        """Have ``work`` done on the engine's thread between two steps, after what was posted before.

        Raises:
            UnavailableError: the engine has been closed.
        """
        self._engine.post(lambda _: self._run(work))
        self._backlog += 1

    async def wait_for_room(self) -> None:
        """Return when few enough messages wait to be taken."""
        while self._backlog >= self._max_backlog:
            self._taken.clear()
            await self._taken.wait()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to wait
                self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        self._backlog -= 1
        self._taken.set()
