"""Seats at the members of the pools: routing applied to what the pools know right now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Generic, TypeVar

from draftmesh.coordinator.pools.pool import (
    DrafterMember,
    DrafterPool,
    Member,
    Pool,
    VerifierMember,
    VerifierPool,
    Watched,
)
from draftmesh.coordinator.routing.candidate import Candidate, Wish
from draftmesh.coordinator.routing.profile import Profile
from draftmesh.coordinator.routing.scorers import PrefixAffinity
from draftmesh.core.endpoint import DrafterInfo, LoadReport, VerifierInfo
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Drafter, Verifier

PeerT = TypeVar("PeerT", bound=Watched)
InfoT = TypeVar("InfoT", bound=DrafterInfo | VerifierInfo)


class _PoolSeat(Generic[PeerT, InfoT]):
    """A session's place at one member; satisfies ``seats.Seat``."""

    def __init__(
        self,
        source: _PoolSeats[PeerT, InfoT],
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
        """The member's last report."""
        return self._member.load

    @property
    def books(self) -> Ledger:
        """What all sessions with this target did with the member."""
        return self._member.pair(self._source.wish.target_digest)

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
        """Returns when :attr:`should_move` has become true."""
        while not self.should_move:
            await self._source.pool.changed.wait()


class _PoolSeats(Generic[PeerT, InfoT]):
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
    ) -> _PoolSeat[PeerT, InfoT]:
        """The best ready member; waits while there is none."""
        wish = replace(self.wish, banned=banned, digest=digest)
        while (candidate := self._profile.choose(self._candidates(), wish, failed)) is None:
            await self.pool.changed.wait()
        member = next(member for member in self.pool.ready if member.address == candidate.address)
        return self._seat(member, candidate)

    def _candidates(self) -> list[Candidate]:
        return [candidate for member in self.pool.ready if (candidate := self._candidate(member)) is not None]

    def _candidate(self, member: Member[PeerT, InfoT]) -> Candidate | None:
        raise NotImplementedError

    def _seat(self, member: Member[PeerT, InfoT], candidate: Candidate) -> _PoolSeat[PeerT, InfoT]:
        raise NotImplementedError


class DrafterSeats(_PoolSeats[Drafter, DrafterInfo]):
    """Seats at drafters."""

    def __init__(self, pool: DrafterPool, profile: Profile, wish: Wish) -> None:
        super().__init__(pool, profile, wish)

    def _candidate(self, member: DrafterMember) -> Candidate | None:
        info = member.info
        if info is None:
            return None
        books = member.pair(self.wish.target_digest)
        return Candidate(
            address=member.address,
            name=info.name,
            digest=info.digest,
            methods=info.methods,
            max_context_tokens=info.max_context_tokens,
            load=member.load,
            own_sessions=member.own_sessions,
            vocabulary_digest=info.vocabulary_digest,
            bytes_per_s=1e3 * books.committed_bytes / books.elapsed_ms if books.elapsed_ms else None,
        )

    def _seat(self, member: DrafterMember, candidate: Candidate) -> _PoolSeat[Drafter, DrafterInfo]:
        assert member.info is not None, "a candidate has told who it is"
        return _PoolSeat(self, member, candidate, limit_tokens=member.info.max_ahead_tokens)


class VerifierSeats(_PoolSeats[Verifier, VerifierInfo]):
    """Seats at verifiers of one target."""

    def __init__(self, pool: VerifierPool, profile: Profile, wish: Wish, affinity: PrefixAffinity) -> None:
        super().__init__(pool, profile, wish)
        self._affinity = affinity

    def _candidate(self, member: VerifierMember) -> Candidate | None:
        info = member.info
        if info is None:
            return None
        return Candidate(
            address=member.address,
            name=info.model,
            digest=info.target_digest,
            methods=info.methods,
            max_context_tokens=info.max_context_tokens,
            load=member.load,
            own_sessions=member.own_sessions,
        )

    def _seat(self, member: VerifierMember, candidate: Candidate) -> _PoolSeat[Verifier, VerifierInfo]:
        assert member.info is not None, "a candidate has told who it is"
        self._affinity.note(member.address, self.wish.prompt_ids)
        return _PoolSeat(self, member, candidate, limit_tokens=member.info.max_draft_tokens)
