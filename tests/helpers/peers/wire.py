"""What fake peers have in common: streams inside the event loop, and what goes wrong with them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from draftmesh.core.endpoint import LoadReport
from draftmesh.core.errors import DraftmeshError, UnavailableError


@dataclass
class Faults:
    """What goes wrong, by the number of the stream (from 0); streams beyond the list are sound."""

    open_errors: Sequence[DraftmeshError | None] = ()
    """Raised instead of opening."""

    lifetimes: Sequence[int | None] = ()
    """Messages that a stream sends before it dies; None: it lives on."""

    repeat_rate: float = 0.0
    """How often a message is sent twice."""

    def open_error(self, stream: int) -> DraftmeshError | None:
        """What to raise when this stream is opened."""
        return self.open_errors[stream] if stream < len(self.open_errors) else None

    def lifetime(self, stream: int) -> int | None:
        """Messages until it dies."""
        return self.lifetimes[stream] if stream < len(self.lifetimes) else None


@dataclass
class Wire:
    """One direction of a fake stream: messages, then perhaps an error."""

    lifetime: int | None
    messages: deque[object] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    dead: bool = False

    def put(self, message: object) -> None:
        """Send, unless it has died."""
        if self.lifetime is not None:
            self.lifetime -= 1
            if self.lifetime < 0:
                self.dead = True
        if not self.dead:
            self.messages.append(message)
        self.arrived.set()

    async def get(self) -> object:
        """The next message; raises what was sent in its place."""
        while not self.messages:
            if self.dead:
                raise UnavailableError("the stream has died")
            self.arrived.clear()
            await self.arrived.wait()
        message = self.messages.popleft()
        if isinstance(message, DraftmeshError):
            raise message
        return message


class Reports:
    """What a fake's Watch streams say: a report, and every other one that a test makes it say."""

    def __init__(self, report: LoadReport) -> None:
        self._report: LoadReport | None = report
        self._changed = asyncio.Event()

    def say(self, report: LoadReport | None) -> None:
        """The next report; None breaks every stream, and refuses new ones, until there is a report again."""
        self._report = report
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self) -> AsyncIterator[LoadReport]:
        """One Watch stream."""
        while True:
            changed = self._changed
            if self._report is None:
                raise UnavailableError("the peer is gone")
            yield self._report
            await changed.wait()


class CountsOpen(Protocol):
    """A fake peer that says how many of its streams are open."""

    num_open: int


@asynccontextmanager
async def working(work: Coroutine[Any, Any, None], owner: CountsOpen) -> AsyncIterator[None]:
    """Run ``work`` while one of its owner's streams is open."""
    task = asyncio.create_task(work)
    owner.num_open += 1
    try:
        yield
    finally:
        owner.num_open -= 1
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
