"""Seats at drafters: what sessions get out of each is measured, and decides who is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from draftmesh.coordinator.instruments import Instruments
from draftmesh.coordinator.learning.traffic import Traffic
from draftmesh.coordinator.pools.pool import DrafterMember, DrafterPool
from draftmesh.coordinator.pools.seating import PoolSeat, PoolSeats
from draftmesh.coordinator.routing.beliefs import Beliefs, Rates
from draftmesh.coordinator.routing.candidate import Candidate, Wish
from draftmesh.coordinator.routing.config import RoutingConfig
from draftmesh.coordinator.routing.profile import Profile, drafter_profile
from draftmesh.core.endpoint import DrafterInfo
from draftmesh.core.errors import DraftmeshError, ExhaustedError
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Drafter


@dataclass(frozen=True, slots=True)
class DrafterRouting:
    """How the sessions of a shard come to drafters: what they share."""

    profile: Profile
    rates: Rates

    @classmethod
    def create(cls, config: RoutingConfig, instruments: Instruments) -> DrafterRouting:
        """That knows nothing yet."""
        return cls(drafter_profile(instruments.random), Rates(config.rates, instruments.clock))


class DrafterSeat(PoolSeat[Drafter, DrafterInfo]):
    """A session's place at a drafter."""

    def __init__(self, source: DrafterSeats, member: DrafterMember, candidate: Candidate, *, limit_tokens: int) -> None:
        super().__init__(source, member, candidate, limit_tokens=limit_tokens)
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


class DrafterSeats(PoolSeats[Drafter, DrafterInfo]):
    """Seats at drafters for one session."""

    def __init__(self, pool: DrafterPool, routing: DrafterRouting, wish: Wish, traffic: Traffic) -> None:
        super().__init__(pool, routing.profile, wish)
        self.routing = routing
        self.traffic = traffic

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
