"""The feed of ``slrs``: a base that a drafter has been told of waits for what the drafter owes (``bond`` says why).

Drafters owe the base's block, and answers to the verifier's questions about it. One that owes for too long is
replaced by one of the same digest; if that takes too long too, the session fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from draftmesh.coordinator.drafting.bond import Bond
from draftmesh.coordinator.drafting.drafts import Drafts
from draftmesh.coordinator.drafting.feed import DraftFeed
from draftmesh.coordinator.drafting.psi_questions import PsiQuestions
from draftmesh.coordinator.drafting.stage import FeedConfig, Stage
from draftmesh.coordinator.instruments import Instruments
from draftmesh.coordinator.pools.seats import Seat, SeatSource
from draftmesh.coordinator.tasks import race, unless
from draftmesh.core.draft import Block, Evaluated
from draftmesh.core.errors import DeadlineError
from draftmesh.core.protocols import Drafter, DraftStream
from draftmesh.core.text import Item, TextPrefix
from draftmesh.core.verify import PsiQuery, PsiReply


class BoundFeed(DraftFeed):
    """Keeps a drafter at work, and the session to what that drafter has begun."""

    def __init__(
        self,
        source: SeatSource[Drafter],
        stage: Stage,
        drafts: Drafts,
        config: FeedConfig,
        instruments: Instruments,
    ) -> None:
        super().__init__(source, stage, drafts, config, instruments)
        self._drafting.turn(on=True)  # from the start, and for good: there is nothing to steer
        self._bond = Bond(stage.wake, instruments.clock)
        self._questions = PsiQuestions()
        self._leaving = asyncio.Event()
        self._is_retired = False

    @property
    def bond(self) -> Bond:
        """What binds the session to its drafter."""
        return self._bond

    @property
    def gives_up_s(self) -> float | None:
        """When the session fails unless the drafters it is bound to bring what they owe; None: nothing is owed."""
        return self._bond.since_s + self._config.bond_patience_ms / 1e3 if self._owes else None

    @property
    def awaits_psi(self) -> bool:
        """Whether a drafter owes the answer to a question for ψ."""
        return self._questions.is_waiting

    def settle(self, ids: Sequence[int], items: Sequence[Item]) -> None:
        """The target has committed this: between two blocks is the only time to leave a drafter."""
        self._questions.clear()
        if self._seat is not None and (self._is_retired or self._seat.is_draining):
            self._leaving.set()
        self._bond.settled(at_work=self._seat is not None and not self._leaving.is_set())
        super().settle(ids, items)

    def ask(self, query: PsiQuery, base: TextPrefix, accepted: tuple[int, ...]) -> None:
        """The verifier asks for ψ after the ``accepted`` tokens of the block that follows ``base``."""
        if not self._owes:
            self._bond.touch()
        self._questions.ask(query, base, accepted)
        self._unsent.set()

    def take_replies(self) -> Sequence[PsiReply]:
        """Answers for the verifier since the last call."""
        return self._questions.take_replies()

    def forget_questions(self) -> None:
        """The verifier that asked is gone."""
        self._questions.clear()

    @property
    def _owes(self) -> bool:
        return self._bond.holds and (not self._drafts.ended or self._questions.is_waiting)

    async def _acquire(self) -> Seat[Drafter]:
        """The next drafter: any, or while the base is bound, one that draws the same."""
        while True:
            wanted = self._source.acquire(banned=self._banned, failed=self._failed, digest=self._bond.digest)
            if (seat := await unless(self._bond.changed.wait(), wanted)) is not None:
                return seat

    async def _admission(self) -> None:
        await self._bond.admission()

    def _release(self) -> None:
        self._bond.release()

    @property
    def _open_timeout_s(self) -> float | None:
        return self._config.stall_s

    def _is_too_late(self, opened_at: int) -> bool:
        """Whether the base that the drafter was told of has been settled meanwhile."""
        return not self._bond.holds or len(self._items) != opened_at

    def _begin(self) -> None:
        self._leaving.clear()
        self._is_retired = False
        self._questions.restart()

    def _tell(self, seat: Seat[Drafter]) -> None:
        self._bond.bind(seat.digest)
        self._stage.wake.set()

    @property
    def _is_leaving(self) -> bool:
        return self._leaving.is_set()

    async def _send_questions(self, stream: DraftStream) -> None:
        for evaluate in self._questions.take_unsent():
            await stream.send(evaluate)

    def _take(self, message: Block | Evaluated) -> bool:
        is_of_use = self._questions.hear(message) if isinstance(message, Evaluated) else super()._take(message)
        if is_of_use:
            self._bond.touch()
        return is_of_use

    async def _until_left(self, seat: Seat[Drafter]) -> None:
        await race(self._until_leaving(seat), self._watch_debts())

    async def _until_leaving(self, seat: Seat[Drafter]) -> None:
        await unless(self._leaving.wait(), seat.retired())
        self._is_retired = True
        await self._leaving.wait()

    async def _watch_debts(self) -> None:
        opened_s = self._clock.monotonic()
        while True:
            await asyncio.sleep(self._config.stall_s / 4)
            waited_s = self._clock.monotonic() - max(opened_s, self._bond.since_s)
            if self._owes and waited_s >= self._config.stall_s:
                raise DeadlineError(f"the drafter owes a block or ψ for {waited_s:.1f} s")
