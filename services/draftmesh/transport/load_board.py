"""How busy a daemon is: admits its sessions, and tells everyone who watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from draftmesh.core.endpoint import LoadReport
from draftmesh.core.errors import ExhaustedError, UnavailableError


class LoadBoard:
    """Counts open sessions and knows whether the daemon is about to stop. Lives in one event loop."""

    def __init__(self, daemon: str, load: Callable[[], LoadReport], *, max_sessions: int, retry_after_ms: int) -> None:
        """Start with no session; ``daemon`` is named in refusals, ``load`` tells the rest of a report."""
        self._daemon = daemon
        self._load = load
        self._max_sessions = max_sessions
        self._retry_after_ms = retry_after_ms
        self._active = 0
        self._draining = False
        self._changed = asyncio.Event()

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold one session's place.

        Raises:
            UnavailableError: the daemon is about to stop.
            ExhaustedError: every place is taken.
        """
        if self._draining:
            raise UnavailableError(f"the {self._daemon} is about to stop and takes no new sessions")
        if self._active >= self._max_sessions:
            raise ExhaustedError(f"all {self._max_sessions} sessions are taken", self._retry_after_ms)
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)

    @property
    def active_sessions(self) -> int:
        """Sessions that hold a place."""
        return self._active

    def drain(self) -> None:
        """Take no new sessions from now on."""
        self._draining = True
        self._announce()

    def report(self) -> LoadReport:
        """The load right now."""
        return replace(
            self._load(), draining=self._draining, active_sessions=self._active, max_sessions=self._max_sessions
        )

    async def watch(self, interval_s: float) -> AsyncGenerator[LoadReport]:
        """A report at once, then on each change of sessions or draining, and at least every ``interval_s``."""
        while True:
            changed = self._changed  # taken before the report, so that no change is missed
            yield self.report()
            try:
                async with asyncio.timeout(interval_s):
                    await changed.wait()
            except TimeoutError:
                continue

    def _count(self, difference: int) -> None:
        self._active += difference
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
