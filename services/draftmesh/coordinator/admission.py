"""How many sessions a shard takes: so many at a time, so many waiting, and the rest are told when to come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from draftmesh.core.errors import ExhaustedError, UnavailableError


@dataclass(frozen=True, slots=True)
class AdmissionConfig:
    """Bounds of a shard."""

    max_sessions: int = 256
    """Sessions that generate at the same time."""

    max_waiting: int = 256
    """Requests that wait for one of them to end."""

    max_wait_ms: float = 5000.0
    """How long a request waits at most."""

    retry_after_ms: int = 500
    """The hint that goes with a refusal."""


class Admission:
    """Counts sessions."""

    def __init__(self, config: AdmissionConfig) -> None:
        self._config = config
        self._slots = asyncio.Semaphore(config.max_sessions)
        self._waiting = 0
        self._closed = False

    def close(self) -> None:
        """Take no more sessions."""
        self._closed = True

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A session's place, for as long as the context lasts.

        Raises:
            ExhaustedError: too many wait already, or the wait was too long.
            UnavailableError: the shard is about to stop.
        """
        await self._enter()
        try:
            yield
        finally:
            self._slots.release()

    async def _enter(self) -> None:
        if self._closed:
            raise UnavailableError("this shard is about to stop")
        if self._slots.locked() and self._waiting >= self._config.max_waiting:
            raise self._refusal(f"{self._waiting} requests are waiting already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._config.max_wait_ms / 1e3):
                await self._slots.acquire()
        except TimeoutError:
            raise self._refusal("no session ended in time") from None
        finally:
            self._waiting -= 1
        if self._closed:  # while it waited
            self._slots.release()
            raise UnavailableError("this shard is about to stop")

    def _refusal(self, reason: str) -> ExhaustedError:
        message = f"all {self._config.max_sessions} sessions are in use: {reason}"
        return ExhaustedError(message, self._config.retry_after_ms)
