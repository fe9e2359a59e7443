"""Puts load on a server: so many clients at a time, or requests that arrive by a timetable whoever is there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from draftmesh.bench.serve.requests import Request
from draftmesh.bench.token_times import TokenTimes
from draftmesh.core.errors import ExhaustedError
from draftmesh.core.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Done:
    """A request that has been answered."""

    times: TokenTimes
    ledger: Ledger = field(default_factory=Ledger)
    """What drafting did for it."""


Serve = Callable[[Request, float | None], Awaitable[Done]]
"""Answers a request; the second argument is when it was due (monotonic time), None for at once.

Raises:
    ExhaustedError: it has refused the request.
"""


@dataclass(frozen=True, slots=True)
class LoadRun:
    """What came of a load."""

    done: tuple[Done, ...]
    started_s: float
    """Monotonic time."""

    full_until_s: float
    """Until then the server had its whole load: the clients had a next request, or requests kept arriving."""

    refused: int = 0
    unfinished: int = 0
    """Requests that had not been answered when the time was over."""


async def closed_loop(serve: Serve, requests: Sequence[Request], *, concurrency: int, timeout_s: float) -> LoadRun:
    """So many clients, each of which sends the next request when its last one has been answered.

    Ends when all requests have been answered, or after ``timeout_s``.
    """
    gathered, waiting = _Gathered(len(requests)), deque(requests)

    async def client() -> None:
        while waiting:
            await gathered.collect(serve(waiting.popleft(), None))
        gathered.ran_dry()

    await _within(timeout_s, [client() for _ in range(min(concurrency, len(requests)))])
    return gathered.run()


async def open_loop(
    serve: Serve, requests: Sequence[Request], arrivals_s: Sequence[float], *, timeout_s: float
) -> LoadRun:
    """Every request is sent at its time, seconds from now, however many are being served.

    A request's wait counts from when it was due: what this process is late by is not hidden.
    """
    gathered = _Gathered(len(requests))

    async def client(request: Request, arrives_s: float) -> None:
        due_s = gathered.started_s + arrives_s
        await asyncio.sleep(max(0.0, due_s - _now_s()))
        await gathered.collect(serve(request, due_s))

    async def timetable() -> None:
        await asyncio.sleep(max(0.0, gathered.started_s + arrivals_s[-1] - _now_s()))
        gathered.ran_dry()

    clients = [client(request, at_s) for request, at_s in zip(requests, arrivals_s, strict=True)]
    await _within(timeout_s, [*clients, timetable()])
    return gathered.run()


def _now_s() -> float:
    """The event loop's clock, which is ``time.monotonic`` where nobody has made another one."""
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class _Gathered:
    """The answers so far."""

    asked: int
    started_s: float = field(default_factory=_now_s)
    done: list[Done] = field(default_factory=list)
    refused: int = 0
    dry_s: float | None = None

    async def collect(self, answer: Awaitable[Done]) -> None:
        try:
            self.done.append(await answer)
        except ExhaustedError:
            self.refused += 1

    def ran_dry(self) -> None:
        """From now on there is less than the whole load."""
        self.dry_s = self.dry_s or _now_s()

    def run(self) -> LoadRun:
        unfinished = self.asked - len(self.done) - self.refused
        return LoadRun(tuple(self.done), self.started_s, self.dry_s or _now_s(), self.refused, unfinished)


async def _within(timeout_s: float, clients: Sequence[Awaitable[None]]) -> None:
    """Run them all; those that have not ended after so long are cancelled. The first failure ends all and is raised."""
    tasks = [asyncio.ensure_future(client) for client in clients]
    try:
        ended, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
        for task in ended:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
