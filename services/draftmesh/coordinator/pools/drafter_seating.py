"""Seats at drafters: what sessions get out of each is measured, and they leave one for a better one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import structlog

from draftmesh.coordinator.instruments import Instruments
from draftmesh.coordinator.learning.traffic import Traffic
from draftmesh.coordinator.pools.pool import DrafterMember, DrafterPool
from draftmesh.coordinator.pools.seating import PoolSeat, PoolSeats
from draftmesh.coordinator.routing.beliefs import Beliefs, Rates
from draftmesh.coordinator.routing.candidate import Candidate, Wish
from draftmesh.coordinator.routing.config import RoutingConfig
from draftmesh.coordinator.routing.moving import Arrivals, Moves, MovingConfig
from draftmesh.coordinator.routing.profile import Profile, drafter_profile
from draftmesh.coordinator.tasks import race
from draftmesh.core.endpoint import DrafterInfo
from draftmesh.core.errors import DraftmeshError, ExhaustedError
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Drafter

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DrafterRouting:
    """How the sessions of a shard come to drafters: what they share."""

    moving: MovingConfig
    profile: Profile
    rates: Rates
    arrivals: Arrivals
    instruments: Instruments

    @classmethod
    def create(cls, config: RoutingConfig, instruments: Instruments) -> DrafterRouting:
        """That knows nothing yet."""
        clock = instruments.clock
        return cls(
            moving=config.moving,
            profile=drafter_profile(instruments.random),
            rates=Rates(config.rates, clock),
            arrivals=Arrivals(config.moving, clock),
            instruments=instruments,
        )

    def next_check_s(self) -> float:
        """How long a session waits before it looks for a better drafter; sessions do not look all at once."""
        return self.moving.check_ms / 1e3 * (0.5 + self.instruments.random.random())


class DrafterSeat(PoolSeat[Drafter, DrafterInfo]):
    """A session's place at a drafter."""

    def __init__(self, source: DrafterSeats, member: DrafterMember, candidate: Candidate, *, limit_tokens: int) -> None:
        super().__init__(source, member, candidate, limit_tokens=limit_tokens)
        self._drafters = source
        self._meter = source.routing.rates.meter(source.traffic, self.address, self.digest)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """As for every member; a failure tells of the drafter, unless it only says that it is full."""
        try:
            with super().taken():
                yield
        except ExhaustedError:
            raise
        except DraftmeshError:
            self._meter.fail()
            raise
        finally:
            self._meter.end()

    def record(self, delta: Ledger) -> None:
        """Add to the member's books, and to what is known of its rate."""
        super().record(delta)
        self._meter.add(delta)
        self._drafters.served.add(self.digest)

    async def retired(self) -> None:
        """Returns when the session should move, or has a clearly better drafter to go to, which is free."""
        await race(super().retired(), self._outdone())

    async def _outdone(self) -> None:
        while True:
            await asyncio.sleep(self._drafters.routing.next_check_s())
            if self._drafters.leave(self._member):
                return


class DrafterSeats(PoolSeats[Drafter, DrafterInfo]):
    """Seats at drafters for one session."""

    def __init__(self, pool: DrafterPool, routing: DrafterRouting, wish: Wish, traffic: Traffic) -> None:
        super().__init__(pool, routing.profile, wish)
        self.routing = routing
        self.traffic = traffic
        self.served: set[bytes] = set()
        """Digests of the drafters that the session was with when something happened."""

        self._moves = Moves(routing.moving, routing.arrivals)
        self._destination = ""
        self._banned: frozenset[str] = frozenset()

    def leave(self, member: DrafterMember) -> bool:
        """Whether the session leaves this drafter; the next seat is then at the one that it leaves it for."""
        if member.info is None:
            return False
        beliefs = self.routing.rates.beliefs(self.traffic)
        own = self._candidate(member, member.info, beliefs)
        if not self._moves.may_leave(own, beliefs.best_bytes_per_s):
            return False
        chosen = self._moves.leave(own, self._free())
        if chosen is not None:
            _log.debug(
                "drafter left", address=own.address, rate=own.rate, destination=chosen.address, better=chosen.rate
            )
            self.routing.instruments.metrics.drafter_moves.add(1)
            self._destination = chosen.address
        return chosen is not None

    def _free(self) -> list[Candidate]:
        """Drafters that the session could go to; of a digest that was chosen for it, if one was."""
        allowed = self._profile.allowed(self._candidates(), replace(self.wish, banned=self._banned))
        return [candidate for candidate in allowed if self.wish.preferred_digest in {None, candidate.digest}]

    def _choose(self, wish: Wish, failed: frozenset[str]) -> Candidate | None:
        self._banned = wish.banned
        candidates, wanted = self._candidates(), self._destination
        self._destination = ""
        if wanted:
            allowed = self._profile.allowed(candidates, wish)
            if (chosen := next((entry for entry in allowed if entry.address == wanted), None)) is not None:
                return chosen
        return self._profile.choose(candidates, wish, failed | self._moves.left)

    def _candidates(self) -> list[Candidate]:
        beliefs = self.routing.rates.beliefs(self.traffic)
        return [
            self._candidate(member, info, beliefs) for member in self.pool.ready if (info := member.info) is not None
        ]

    def _candidate(self, member: DrafterMember, info: DrafterInfo, beliefs: Beliefs) -> Candidate:
        return Candidate(
            address=member.address,
            name=info.name,
            digest=info.digest,
            methods=info.methods,
            max_context_tokens=info.max_context_tokens,
            load=member.load,
            own_sessions=member.own_sessions,
            vocabulary_digest=info.vocabulary_digest,
            rate=beliefs.of(member.address, info.digest),
        )

    def _seat(self, member: DrafterMember, candidate: Candidate) -> DrafterSeat:
        assert member.info is not None, "a candidate has told who it is"
        return DrafterSeat(self, member, candidate, limit_tokens=member.info.max_ahead_tokens)
