"""Seats at fake peers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import Generic, TypeVar

from draftmesh.core.endpoint import LoadReport
from draftmesh.core.ledger import Ledger, add
from draftmesh.core.moving_average import MovingAverage
from draftmesh.core.protocols import Drafter, Verifier

PeerT = TypeVar("PeerT", bound=Verifier | Drafter)


@dataclass(frozen=True)
class FakeSeat(Generic[PeerT]):
    """A pool member that was picked."""

    address: str
    name: str
    peer: PeerT
    limit_tokens: int = 32
    digest: bytes = b"drafter"
    retiring: asyncio.Event = field(default_factory=asyncio.Event)
    load: LoadReport = field(default_factory=LoadReport)
    delay_ms: MovingAverage = field(default_factory=lambda: MovingAverage(0.25))
    deltas: list[Ledger] = field(default_factory=list)

    @property
    def books(self) -> Ledger:
        """Part of ``Seat``."""
        return reduce(add, self.deltas, Ledger())

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Part of ``Seat``."""
        yield

    def record(self, delta: Ledger) -> None:
        """Part of ``Seat``."""
        self.deltas.append(delta)

    @property
    def is_draining(self) -> bool:
        """Part of ``Seat``."""
        return self.retiring.is_set()

    @property
    def should_move(self) -> bool:
        """Part of ``Seat``."""
        return self.retiring.is_set()

    async def retired(self) -> None:
        """Part of ``Seat``."""
        await self.retiring.wait()


class FakeSeats(Generic[PeerT]):
    """Hands out seats in turn; waits for ever when none is allowed."""

    def __init__(self, *seats: FakeSeat[PeerT]) -> None:
        self.seats: list[FakeSeat[PeerT]] = list(seats)
        self._changed = asyncio.Event()

    def add(self, seat: FakeSeat[PeerT]) -> None:
        """A member comes."""
        self.seats.append(seat)
        self._changed.set()

    async def acquire(
        self,
        *,
        banned: frozenset[str] = frozenset(),
        failed: frozenset[str] = frozenset(),
        digest: bytes | None = None,
    ) -> FakeSeat[PeerT]:
        """Part of ``SeatSource``."""
        allowed = [seat for seat in self.seats if seat.address not in banned and not seat.retiring.is_set()]
        allowed = [seat for seat in allowed if digest is None or seat.digest == digest]
        if not allowed:
            self._changed.clear()
            await self._changed.wait()
            return await self.acquire(banned=banned, failed=failed, digest=digest)
        seat = min(allowed, key=lambda seat: seat.address in failed)
        self.seats.remove(seat)
        self.seats.append(seat)
        return seat
