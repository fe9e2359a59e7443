"""What a session asks of the pools: a drafter or verifier to sit at, and where to get another when that one fails."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

from draftmesh.core.endpoint import LoadReport
from draftmesh.core.ledger import Ledger
from draftmesh.core.moving_average import MovingAverage

PeerT_co = TypeVar("PeerT_co", covariant=True)


class Seat(Protocol, Generic[PeerT_co]):
    """A pool member that was picked for a session."""

    @property
    def address(self) -> str:
        """Names the member."""

    @property
    def name(self) -> str:
        """The name of its model."""

    @property
    def digest(self) -> bytes:
        """Of a drafter: two of one digest propose the same. Of a verifier: that of its target."""

    @property
    def peer(self) -> PeerT_co:
        """The service itself."""

    @property
    def limit_tokens(self) -> int:
        """Draft tokens: ahead of a commit for a drafter, of one round for a verifier."""

    @property
    def load(self) -> LoadReport:
        """The member's last report, with no fewer sessions than are known here to be there."""

    @property
    def books(self) -> Ledger:
        """What all sessions with this target did with the member."""

    @property
    def delay_ms(self) -> MovingAverage:
        """How long it takes to be heard of, over all sessions of this method; sessions add what they measure.

        A verifier: the way there and back. A drafter: from a commit to what it draws after it.
        """

    def taken(self) -> AbstractContextManager[None]:
        """Counts the session as the member's own while the context lasts."""

    def record(self, delta: Ledger) -> None:
        """Add to the member's books."""

    @property
    def is_draining(self) -> bool:
        """Whether the member is about to stop."""

    @property
    def should_move(self) -> bool:
        """Whether the member drains and another one could take the session."""

    async def retired(self) -> None:
        """Returns when the session had better go elsewhere: it :attr:`should_move`, or its drafter is outdone."""


class SeatSource(Protocol, Generic[PeerT_co]):
    """Picks members for one session: model, method and the rest are settled already."""

    async def acquire(
        self,
        *,
        banned: frozenset[str] = frozenset(),
        failed: frozenset[str] = frozenset(),
        digest: bytes | None = None,
    ) -> Seat[PeerT_co]:
        """The best ready member; waits while there is none.

        Args:
            banned: Addresses that are never picked.
            failed: Addresses that are picked only if there is no other.
            digest: Of the members that may be picked; None: of any.
        """
