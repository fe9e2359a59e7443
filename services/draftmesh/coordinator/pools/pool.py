"""Who is there: the drafters and verifiers that a shard knows, one Watch stream to each.

Membership is a list of addresses; health and load come from the members themselves. A member whose stream breaks is
not ready until it answers again, and is asked again and again, with pauses.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from random import Random
from typing import Any, Generic, Protocol, TypeVar, cast

import structlog

from draftmesh.coordinator.backoff import Backoff, BackoffConfig
from draftmesh.coordinator.tasks import Signal, cancelled
from draftmesh.core.endpoint import DrafterInfo, LoadReport, VerifierInfo
from draftmesh.core.errors import DraftmeshError
from draftmesh.core.ledger import Ledger, add
from draftmesh.core.moving_average import MovingAverage
from draftmesh.core.protocols import Drafter, Verifier
from draftmesh.core.sampling import Method

_log = structlog.get_logger(__name__)


class Watched(Protocol):
    """What drafters and verifiers have in common."""

    async def info(self) -> DrafterInfo | VerifierInfo:
        """Who it is."""

    def watch(self) -> AsyncIterator[LoadReport]:
        """Its load, until it is gone."""


PeerT = TypeVar("PeerT", bound=Watched)
InfoT = TypeVar("InfoT", bound=DrafterInfo | VerifierInfo)
Connect = Callable[[str], AbstractAsyncContextManager[PeerT]]


class Member(Generic[PeerT, InfoT]):
    """One drafter or verifier, as this shard sees it."""

    def __init__(self, address: str, peer: PeerT) -> None:
        self.address = address
        self.peer = peer
        self.info: InfoT | None = None
        """What it last said of itself; kept while it is away."""

        self.load = LoadReport()
        """Its last report."""

        self.is_connected = False
        self.own_sessions = 0
        """Sessions of this shard that are there."""

        self.ledger = Ledger()
        """What all sessions of this shard did with it."""

        self.delays_ms: dict[Method, MovingAverage] = defaultdict(lambda: MovingAverage(_SMOOTHING))
        """How long sessions of each method have waited to hear of it; see ``seats.Seat.delay_ms``."""

        self._pairs: dict[bytes, Ledger] = defaultdict(Ledger)

    @property
    def is_ready(self) -> bool:
        """Whether its Watch stream is open and it does not drain."""
        return self.is_connected and not self.load.draining

    def record(self, delta: Ledger, target_digest: bytes) -> None:
        """Add what a session with this target did here."""
        self.ledger = add(self.ledger, delta)
        self._pairs[target_digest] = add(self._pairs[target_digest], delta)

    def pair(self, target_digest: bytes) -> Ledger:
        """The books with this target."""
        return self._pairs.get(target_digest, Ledger())


class Pool(Generic[PeerT, InfoT]):
    """The members of one kind. Lives in one event loop; :meth:`open` keeps the Watch streams running."""

    def __init__(self, connect: Connect[PeerT], backoff: BackoffConfig, random: Random) -> None:
        self._connect = connect
        self._backoff_config = backoff
        self._random = random
        self._members: dict[str, Member[PeerT, InfoT]] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self.changed = Signal()
        """Notified when a member comes, goes or reports."""

        self.on_left: Callable[[str], None] = _nothing
        """Called with the address of a member that has left the membership."""

    @property
    def members(self) -> tuple[Member[PeerT, InfoT], ...]:
        """All that have ever answered or are in the membership, ready or not."""
        return tuple(self._members.values())

    @property
    def ready(self) -> tuple[Member[PeerT, InfoT], ...]:
        """Those that can serve."""
        return tuple(member for member in self._members.values() if member.is_ready)

    @asynccontextmanager
    async def open(self, addresses: Iterable[str]) -> AsyncIterator[None]:
        """Watch these members; leaving the context ends every connection."""
        self.set_addresses(addresses)
        try:
            yield
        finally:
            await cancelled(*self._watchers.values())
            self._watchers.clear()

    def set_addresses(self, addresses: Iterable[str]) -> None:
        """These are the members from now on; sessions at one that has left lose it."""
        wanted = set(addresses)
        for address in self._watchers.keys() - wanted:
            self._watchers.pop(address).cancel()
        for address in sorted(wanted - self._watchers.keys()):
            self._watchers[address] = asyncio.create_task(self._keep(address))

    async def _keep(self, address: str) -> None:
        async with self._connect(address) as peer:
            member: Member[PeerT, InfoT] = Member(address, peer)
            self._members[address] = member
            self.changed.notify()
            try:
                await self._watch_for_ever(member, peer)
            finally:
                member.is_connected = False
                if self._members.get(address) is member:
                    del self._members[address]
                    self.on_left(address)
                self.changed.notify()

    async def _watch_for_ever(self, member: Member[PeerT, InfoT], peer: Watched) -> None:
        backoff = Backoff(self._backoff_config, self._random)
        while True:
            try:
                await self._watch(member, peer, backoff)
            except DraftmeshError as error:
                if member.is_connected:
                    _log.warning("pool member lost", address=member.address, error=str(error))
            except Exception:
                _log.exception("watching a pool member failed by a bug", address=member.address)
            member.is_connected = False
            self.changed.notify()
            await asyncio.sleep(backoff.next_s())

    async def _watch(self, member: Member[PeerT, InfoT], peer: Watched, backoff: Backoff) -> None:
        """Returns or raises when the stream ends."""
        member.info = cast("InfoT", await peer.info())
        reports: Any = peer.watch()  # an async generator, whatever its Protocol shows
        async with aclosing(reports):
            async for report in reports:
                member.load = report
                if not member.is_connected:
                    _log.info("pool member ready", address=member.address, info=_name(member.info))
                    backoff.reset()
                member.is_connected = True
                self.changed.notify()


def _nothing(address: str) -> None:
    """Nobody wants to know."""


def _name(info: DrafterInfo | VerifierInfo) -> str:
    return info.name if isinstance(info, DrafterInfo) else info.model


_SMOOTHING = 0.25
"""Weight of the newest delay."""

DrafterPool = Pool[Drafter, DrafterInfo]
VerifierPool = Pool[Verifier, VerifierInfo]
DrafterMember = Member[Drafter, DrafterInfo]
VerifierMember = Member[Verifier, VerifierInfo]
