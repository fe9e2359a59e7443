"""Seats at the members of a pool: routing applied to what the pool knows right now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Generic, TypeVar

from draftmesh.coordinator.pools.pool import Member, Pool, VerifierMember, VerifierPool, Watched
from draftmesh.coordinator.routing.candidate import Candidate, Wish
from draftmesh.coordinator.routing.profile import Profile
from draftmesh.coordinator.routing.scorers import PrefixAffinity
from draftmesh.core.endpoint import DrafterInfo, LoadReport, VerifierInfo
from draftmesh.core.ledger import Ledger
from draftmesh.core.moving_average import MovingAverage
from draftmesh.core.protocols import Verifier

PeerT = TypeVar("PeerT", bound=Watched)
InfoT = TypeVar("InfoT", bound=DrafterInfo | VerifierInfo)


class PoolSeat(Generic[PeerT, InfoT]):
    """A session's place at one member; satisfies ``seats.Seat``."""

    def __init__(
        self,
        source: PoolSeats[PeerT, InfoT],
        member: Member[PeerT, InfoT],
        candidate: Candidate,
        *,
        limit_tokens: int,
    ) -> None:
        self._source = source
        self._member = member
        self.address = member.address
        self.name = candidate.name
        self.digest = candidate.digest
        self.peer = member.peer
        self.limit_tokens = limit_tokens

    @property
    def load(self) -> LoadReport:
        """The member's last report, which knows of all sessions of this shard that are there by now."""
        load, own_sessions = self._member.load, self._member.own_sessions
        return load if load.active_sessions >= own_sessions else replace(load, active_sessions=own_sessions)

    @property
    def books(self) -> Ledger:
        """What all sessions with this target did with the member."""
        return self._member.pair(self._source.wish.target_digest)

    @property
    def delay_ms(self) -> MovingAverage:
        """How long it takes to be heard of, over all sessions of this method."""
        return self._member.delays_ms[self._source.wish.method]

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Count the session as the member's own while the context lasts."""
        self._member.own_sessions += 1
        try:
            yield
        finally:
            self._member.own_sessions -= 1
            self._source.pool.changed.notify()  # others may wait for a free slot

    def record(self, delta: Ledger) -> None:
        """Add to the member's books."""
        self._member.record(delta, self._source.wish.target_digest)

    @property
    def is_draining(self) -> bool:
        """Whether the member is about to stop."""
        return self._member.load.draining

    @property
    def should_move(self) -> bool:
        """Whether the member drains and another one could take the session."""
        return self.is_draining and self._source.has_candidates

    async def retired(self) -> None:
        """Returns when the session had better go elsewhere: here, when it :attr:`should_move`."""
        while not self.should_move:
            await self._source.pool.changed.wait()


class PoolSeats(Generic[PeerT, InfoT]):
    """Seats in one pool for one session; satisfies ``seats.SeatSource``."""

    def __init__(self, pool: Pool[PeerT, InfoT], profile: Profile, wish: Wish) -> None:
        self.pool = pool
        self.wish = wish
        self._profile = profile

    @property
    def has_candidates(self) -> bool:
        """Whether some member could serve right now."""
        return bool(self._profile.allowed(self._candidates(), self.wish))

    async def acquire(
        self,
        *,
        banned: frozenset[str] = frozenset(),
        failed: frozenset[str] = frozenset(),
        digest: bytes | None = None,
    ) -> PoolSeat[PeerT, InfoT]:
        """The best ready member; waits while there is none."""
        wish = replace(self.wish, banned=banned, digest=digest)
        while (candidate := self._choose(wish, failed)) is None:
            await self.pool.changed.wait()
        member = next(member for member in self.pool.ready if member.address == candidate.address)
        return self._seat(member, candidate)

    def _choose(self, wish: Wish, failed: frozenset[str]) -> Candidate | None:
        return self._profile.choose(self._candidates(), wish, failed)

    def _candidates(self) -> list[Candidate]:
        raise NotImplementedError

    def _seat(self, member: Member[PeerT, InfoT], candidate: Candidate) -> PoolSeat[PeerT, InfoT]:
        raise NotImplementedError


class VerifierSeats(PoolSeats[Verifier, VerifierInfo]):
    """Seats at verifiers of one target."""

    def __init__(self, pool: VerifierPool, profile: Profile, wish: Wish, affinity: PrefixAffinity) -> None:
        super().__init__(pool, profile, wish)
        self._affinity = affinity

    def _candidates(self) -> list[Candidate]:
        return [_candidate(member, info) for member in self.pool.ready if (info := member.info) is not None]

    def _seat(self, member: VerifierMember, candidate: Candidate) -> PoolSeat[Verifier, VerifierInfo]:
        assert member.info is not None, "a candidate has told who it is"
        self._affinity.note(member.address, self.wish.prompt_ids)
        return PoolSeat(self, member, candidate, limit_tokens=member.info.max_draft_tokens)


def _candidate(member: VerifierMember, info: VerifierInfo) -> Candidate:
    return Candidate(
        address=member.address,
        name=info.model,
        digest=info.target_digest,
        methods=info.methods,
        max_context_tokens=info.max_context_tokens,
        load=member.load,
        own_sessions=member.own_sessions,
    )
