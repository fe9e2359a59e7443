"""What a session does next while the verifier takes it: send its draft, have the target go on alone, or wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.coordinator.drafting.bond import Bond
from draftmesh.coordinator.drafting.drafts import NOTHING, Draft
from draftmesh.coordinator.drafting.feed import DraftFeed
from draftmesh.coordinator.loop.draft_length import Circumstances, DraftLength
from draftmesh.coordinator.loop.pace import Pace
from draftmesh.coordinator.loop.rounds import Answer
from draftmesh.coordinator.pools.seats import Seat
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Clock, Drafter, Verifier
from draftmesh.core.text import Item


@dataclass(frozen=True, slots=True)
class VerifierState:
    """Where the verifier stands; no draft is being judged."""

    is_idle: bool
    """It has nothing to do; else it runs freely."""

    limit_tokens: int
    """Draft tokens that it takes now; 0 when the next token is the last one."""

    is_refused: bool = False
    """A draft from the committed tokens was stale: the target has gone another way from there already."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. Nothing has changed by deciding; :meth:`Proposals.act` says that it is done."""

    draft: Draft = NOTHING
    """Goes out, if it is not empty."""

    expected_ids: tuple[int, ...] = ()
    """What the draft follows, behind the committed tokens: the draft that is being judged, and its bonus token."""

    free_run: bool = False
    """The target goes on alone."""

    starved: bool = False
    """A wait for a draft has ended without one."""

    admits: bool = False
    """The drafter that was found is told of the committed text."""

    wait_s: float | None = None
    """Without a draft or a free run: decide again after so long, though nothing has changed; None: never."""


class Proposals:
    """Joins the draft and the policies of length and waiting; without a feed there is never anything to propose."""

    def __init__(self, feed: DraftFeed | None, pace: Pace, length: DraftLength, *, clock: Clock) -> None:
        self._feed = feed
        self._pace = pace
        self._length = length
        self._clock = clock

    @property
    def drafter(self) -> Seat[Drafter] | None:
        """The drafter at work."""
        return self._feed.drafter if self._feed else None

    @property
    def rest_tokens(self) -> int:
        """Tokens that the target is to say alone because drafting does not pay; 0: it pays, or is still on trial."""
        return self._length.rest_tokens

    @property
    def runs_on(self) -> bool:
        """Whether the target goes on alone after a draft until the next one comes."""
        return self._length.plan.runs_on

    def begin(self, verifier: Seat[Verifier]) -> None:
        """Another verifier takes the session."""
        if self._feed is not None and self._feed.bond is None:
            self._length.prepare(self._circumstances(verifier))
            self._steer(self._feed)

    def observe(self, answer: Answer, elapsed_ms: float, verifier: Seat[Verifier], *, is_idle: bool) -> None:
        """Learn from a verdict that came so long after the one before; ``is_idle``: the verifier has no more to do."""
        if not answer.has_prefill:
            self._pace.observe(answer.verdict, judged=answer.judges)
        if self._feed is None or self._feed.bond is not None:
            return
        self._length.observe(answer, elapsed_ms, self._circumstances(verifier), is_idle=is_idle)
        self._steer(self._feed)

    def settle(self, ids: Sequence[int], items: Sequence[Item]) -> None:
        """The target has committed these tokens, which are this text."""
        self._pace.settled(self._clock.monotonic())
        if self._feed is not None:
            self._feed.settle(ids, items)

    def decide(self, state: VerifierState) -> Decision:
        """What to do now."""
        if self._feed is None or state.limit_tokens == 0:
            return Decision(free_run=state.is_idle)
        if self._feed.bond is not None:
            return self._decide_bound(self._feed, self._feed.bond, state)
        return self._decide_freely(self._feed, state)

    def decide_ahead(self, judged_ids: tuple[int, ...], limit_tokens: int) -> Decision:
        """What to send while a draft of these tokens is being judged: the one that follows it, if that is all there.

        It guesses that all is accepted and that the draft's next token is the bonus token. If so, the verifier goes on
        without waiting for the way there and back; if not, nothing is computed in vain.

        Args:
            judged_ids: Tokens of that draft that are not committed yet.
            limit_tokens: Draft tokens that the verifier takes after it.
        """
        if self._feed is None or self._feed.bond is not None or self.rest_tokens:
            return Decision()
        if self._length.waits_out(is_idle=False, is_shaped=self._feed.is_shaped):
            return Decision()
        draft, count = self._feed.read().draft, len(judged_ids) + 1
        limit_tokens = min(limit_tokens, self._length.plan.ready)
        ahead = draft.after(count).cut(limit_tokens)
        if len(ahead.ids) < min(limit_tokens, self._length.plan.wanted) or draft.ids[: count - 1] != judged_ids:
            return Decision()
        return Decision(ahead, expected_ids=draft.ids[:count])

    def act(self, decision: Decision) -> None:
        """The decision is carried out."""
        if decision.draft and not decision.expected_ids:
            self._pace.drafted(self._clock.monotonic())
        if decision.starved:
            self._pace.starved()
        if decision.admits and self._feed is not None and self._feed.bond is not None:
            self._feed.bond.admit()

    def take_losses(self) -> Ledger:
        """Waste and failures of drafting since the last call."""
        return self._feed.take_losses() if self._feed is not None else Ledger()

    def _steer(self, feed: DraftFeed) -> None:
        if self.rest_tokens:
            feed.rest()
        else:
            feed.want(self._length.plan.extent)

    def _circumstances(self, verifier: Seat[Verifier]) -> Circumstances:
        feed, drafter = self._feed, self.drafter
        if feed is None or drafter is None:
            return Circumstances(verifier.load)
        return Circumstances(
            verifier.load,
            drafter.load,
            drafter.books,
            draft_wait_ms=self._pace.draft_wait_ms,
            pauses_when_unsure=feed.pauses_when_unsure,
        )

    def _decide_freely(self, feed: DraftFeed, state: VerifierState) -> Decision:
        if self.rest_tokens:
            return Decision(free_run=state.is_idle)
        now_s = self._clock.monotonic()
        draft = NOTHING if state.is_refused else self._ready(feed, state, now_s)
        if draft:
            return Decision(draft)
        ends_s = self._pace.deadline_s if feed.drafter is not None else self._pace.least_deadline_s
        if state.is_idle and (state.is_refused or now_s >= ends_s):
            return Decision(free_run=True, starved=feed.drafter is not None and not state.is_refused)
        remaining_s = self._pace.deadline_s - now_s if feed.drafter is not None else ends_s - now_s
        return Decision(wait_s=remaining_s if remaining_s > 0 else None)

    def _ready(self, feed: DraftFeed, state: VerifierState, now_s: float) -> Draft:
        """The draft, if it is time to send it: it is there, or no more of it is near, or the wait is over."""
        limit_tokens, known = min(state.limit_tokens, self._length.plan.ready), feed.read()
        draft = known.draft
        if known.is_guess and len(known.whole.ids) >= self._length.plan.sufficient:
            return known.whole.cut(limit_tokens)
        is_there = len(draft.ids) >= min(limit_tokens, self._length.plan.wanted) or feed.ended
        if is_there and not self._length.waits_out(is_idle=state.is_idle, is_shaped=feed.is_shaped):
            return draft.cut(limit_tokens)
        if now_s < self._pace.deadline_s:
            return NOTHING
        return known.whole.cut(limit_tokens)

    def _decide_bound(self, feed: DraftFeed, bond: Bond, state: VerifierState) -> Decision:
        """``slrs``: a base of which a drafter has been told waits for its block, however long."""
        if bond.is_bound:
            return Decision(feed.read().draft.cut(state.limit_tokens))
        if bond.holds:
            return Decision()
        if bond.is_asking:
            return Decision(admits=state.is_idle)
        now_s, ends_s = self._clock.monotonic(), self._pace.deadline_s
        if state.is_idle and now_s < ends_s:
            return Decision(wait_s=ends_s - now_s)
        return Decision(free_run=state.is_idle, starved=state.is_idle)
