"""What a session has to propose right now: draft text as target tokens, if it is time to send them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from draftmesh.coordinator.draft_feed import DraftFeed
from draftmesh.coordinator.pace import Pace
from draftmesh.coordinator.round_trace import RoundTrace
from draftmesh.coordinator.seats import Seat
from draftmesh.core.errors import InvalidTextError
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Clock, Drafter
from draftmesh.core.text import Item
from draftmesh.tokenization.translation import Translation


class Translator(Protocol):
    """Draft text to target tokens; ``tokenization.DraftTranslator`` is one."""

    def commit(self, ids: Sequence[int]) -> None:
        """The target has settled these tokens."""

    def translate(self, draft: Sequence[Item], *, ended: bool) -> Translation:
        """Target tokens of the text that follows what is committed."""


class Proposals:
    """Joins the draft, its translation and the waiting policy; without a feed there is never anything to propose."""

    def __init__(
        self,
        feed: DraftFeed | None,
        translator: Translator,
        pace: Pace,
        *,
        draft_tokens: int,
        clock: Clock,
        trace: RoundTrace,
    ) -> None:
        self._feed = feed
        self._translator = translator
        self._pace = pace
        self._draft_tokens = draft_tokens
        self._clock = clock
        self._trace = trace

    @property
    def drafter(self) -> Seat[Drafter] | None:
        """The drafter at work."""
        return self._feed.drafter if self._feed else None

    def settle(self, ids: Sequence[int], items: Sequence[Item]) -> None:
        """The target has committed these tokens, which are this text."""
        self._translator.commit(ids)
        self._pace.settled(self._clock.monotonic())
        if self._feed is not None:
            self._feed.settle(items)

    def take(self, limit_tokens: int) -> tuple[int, ...]:
        """The draft to send now, of ``limit_tokens`` at most; empty if there is none, or it is better to wait."""
        if self._feed is None or not self._feed.draft:
            return ()
        translation = self._translate(self._feed)
        now_s, ids = self._clock.monotonic(), translation.ids
        if not self._pace.enough(len(ids), ended=self._feed.ended):
            if now_s < self._pace.deadline_s:
                return ()
            # The wait is over: better tokens that more text might have changed than fewer.
            ids += translation.weak_ids
        ids = ids[: min(limit_tokens, self._draft_tokens)]
        if ids:
            self._pace.drafted(now_s)
        return ids

    def may_wait(self) -> bool:
        """Whether a draft may be waited for, with the verifier idle. A False after a wait counts against waiting."""
        if self.drafter is None:
            return False
        if self._clock.monotonic() < self._pace.deadline_s:
            return True
        self._pace.starved()
        return False

    def remaining_wait_s(self) -> float | None:
        """Seconds after which :meth:`take` may answer otherwise although nothing has changed; None: never."""
        remaining_s = self._pace.deadline_s - self._clock.monotonic()
        return remaining_s if self._feed is not None and remaining_s > 0 else None

    def take_losses(self) -> Ledger:
        """Waste and failures of drafting since the last call."""
        return self._feed.take_losses() if self._feed is not None else Ledger()

    def _translate(self, feed: DraftFeed) -> Translation:
        with self._trace.translating():
            try:
                return self._translator.translate(feed.draft, ended=feed.ended)
            except InvalidTextError:  # the target cannot say this, so it will not
                return Translation((), (), b"")
