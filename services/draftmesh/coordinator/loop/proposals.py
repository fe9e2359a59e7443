"""What a session does next while the verifier takes it: send its draft, have the target go on alone, or wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from draftmesh.coordinator.drafting.bond import Bond
from draftmesh.coordinator.drafting.drafts import NOTHING, Draft
from draftmesh.coordinator.drafting.feed import DraftFeed
from draftmesh.coordinator.loop.company import Companies, Company
from draftmesh.coordinator.loop.draft_length import Circumstances, DraftLength
from draftmesh.coordinator.loop.guesses import Guess, chosen, distinct, guess
from draftmesh.coordinator.loop.link import Link
from draftmesh.coordinator.loop.pace import Pace
from draftmesh.coordinator.loop.rounds import Answer
from draftmesh.coordinator.pools.seats import Seat
from draftmesh.core.ledger import Ledger
from draftmesh.core.moving_average import MovingAverage
from draftmesh.core.protocols import Clock, Drafter, Verifier
from draftmesh.core.text import Item
from draftmesh.core.verify import Verdict, VerifyRound


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
class Room:
    """What a verifier takes while a draft is being judged."""

    rounds: int
    """More of them."""

    draft_tokens: int
    """Of each."""

    tokens: int
    """That may still be generated."""

    def limit(self, one: Guess) -> int:
        """Draft tokens of a guess that there is room for, perhaps less than 1; one token always follows them."""
        return min(self.draft_tokens, self.tokens - len(one.expected_ids) - 1)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. Nothing has changed by deciding; :meth:`Proposals.act` says that it is done."""

    draft: Draft = NOTHING
    """Goes out, if it is not empty."""

    ahead: tuple[Guess, ...] = ()
    """Go out too, one for each outcome of the draft that is being judged, or of one that was sent ahead."""

    free_run: bool = False
    """The target goes on alone."""

    run_steps: int | None = None
    """For so many steps at most; None: to the end."""

    starved: bool = False
    """A wait for a draft has ended without one."""

    admits: bool = False
    """The drafter that was found is told of the committed text."""

    wait_s: float | None = None
    """Without a draft or a free run: decide again after so long, though nothing has changed; None: never."""


class Proposals:
    """Joins the draft and the policies of length and waiting; without a feed there is never anything to propose."""

    def __init__(
        self,
        feed: DraftFeed | None,
        pace: Pace,
        length: DraftLength,
        companies: Companies,
        free_run_steps: int,
        *,
        clock: Clock,
    ) -> None:
        """Where there is a feed, the target goes on alone for ``free_run_steps`` before it is looked at again."""
        self._feed = feed
        self._free_run_steps = free_run_steps
        self._pace = pace
        self._length = length
        self._companies = companies
        self._company: Company | None = None
        self._link = Link(clock, MovingAverage(1.0))
        self._clock = clock

    @property
    def drafter(self) -> Seat[Drafter] | None:
        """The drafter at work."""
        return self._feed.drafter if self._feed else None

    @property
    def rest_tokens(self) -> int:
        """Tokens that the target is to say alone because drafting does not pay; 0: it pays, or is still on trial."""
        return self._length.rest_tokens

    def run_on_steps(self, most: int) -> int:
        """How many steps, at most so many, the target is to go on alone for after a draft until the next one comes.

        If it is far, as many as it has time for before it can be sent a draft that follows what it has said. One that
        is near goes on alone if it is told to.
        """
        most = min(most, self._free_run_steps)
        if self._length.plan.runs_on:
            return most
        if self._feed is None or not self._length.may_meet_run or not self._is_far:
            return 0
        return min(most, self._pace.run_on_steps(self._link.ms + self._feed.answers.ms))

    @contextmanager
    def working_with(self, verifier: Seat[Verifier]) -> Iterator[None]:
        """Another verifier takes the session, for as long as the context lasts."""
        self._link = Link(self._clock, verifier.delay_ms)
        if self._feed is None or self._feed.bond is not None:
            yield
            return
        self._company = self._companies.at(verifier.address)
        with self._company.joined():
            self._length.prepare(self._circumstances(verifier))
            self._steer(self._feed)
            yield

    def asked(self, request: VerifyRound) -> None:
        """A round goes out."""
        self._link.asked(request.round)

    def heard(self, verdict: Verdict) -> None:
        """A verdict has come in, whatever it says."""
        self._link.heard(verdict)

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
        if self.rest_tokens:
            return Decision(free_run=state.is_idle, run_steps=self.rest_tokens)
        return self._decide_freely(self._feed, state)

    def decide_ahead(
        self, drafts: Mapping[tuple[int, ...], tuple[int, ...]], room: Room, *, is_sure: bool = True
    ) -> Decision:
        """What to send while a draft is being judged.

        If all of it is accepted, the draft goes on with the bonus token; it goes out if that is all there. To a
        verifier that is far, what follows other outcomes does too, and what follows those. Where an outcome comes true,
        the verifier goes on without waiting for the way there and back; for the others nothing is computed.

        Args:
            drafts: Those that the verifier has, by what the target has to say first; one is being judged.
            room: What else it takes.
            is_sure: Whether that draft is sure to be judged: the target says nothing before.
        """
        if self._feed is None or self._feed.bond is not None or self.rest_tokens or room.rounds <= 0:
            return Decision()
        if not self._is_far and not (is_sure and len(drafts) == 1):
            return Decision()
        if self._length.waits_out(is_idle=False, is_shaped=self._feed.pauses.is_shaped):
            return Decision()
        knows_whole = any(expected[:-1] == drafts[()] for expected in drafts if expected)
        guesses = distinct(one for one in self._guesses(drafts, room, self._feed) if one.draft)
        return Decision(ahead=chosen(guesses, room.rounds, knows_whole=knows_whole))

    def act(self, decision: Decision) -> None:
        """The decision is carried out."""
        if decision.draft:
            self._pace.drafted(self._clock.monotonic())
        if decision.starved:
            self._pace.starved()
        if decision.admits and self._feed is not None and self._feed.bond is not None:
            self._feed.bond.admit()

    def take_losses(self) -> Ledger:
        """Waste and failures of drafting since the last call."""
        return self._feed.take_losses() if self._feed is not None else Ledger()

    def _guesses(
        self, drafts: Mapping[tuple[int, ...], tuple[int, ...]], room: Room, feed: DraftFeed
    ) -> Iterator[Guess]:
        """What has enough to judge after what the target has to say first; of branches, if it is far."""
        plan = self._length.plan
        along = guess(drafts, feed.read().draft)
        limit = min(plan.ready, room.limit(along))
        if not along.partings and len(along.draft.ids) >= min(limit, plan.wanted):
            yield along.cut(limit)
        for branch in feed.branches() if self._is_far else ():
            way = guess(drafts, branch.draft)
            enough = 1 if branch.is_whole else plan.sufficient_ahead
            # That the target parts from two drafts as foreseen is unlikely: places are for likelier ones.
            if way.partings <= 1 and len(way.draft.ids) >= enough:
                yield way.cut(min(plan.ready, room.limit(way)))

    @property
    def _is_far(self) -> bool:
        return self._pace.is_far(self._link.ms)

    def _steer(self, feed: DraftFeed) -> None:
        if self.rest_tokens:
            feed.rest()
        else:
            feed.want(self._length.plan.extent)

    def _circumstances(self, verifier: Seat[Verifier]) -> Circumstances:
        feed, drafter = self._feed, self.drafter
        if feed is None or drafter is None:
            return Circumstances(verifier.load, link_ms=self._link.ms, company=self._company)
        return Circumstances(
            verifier.load,
            drafter.load,
            drafter.books,
            draft_wait_ms=self._pace.draft_wait_ms,
            link_ms=self._link.ms,
            answer_ms=feed.answers.ms,
            pauses_when_unsure=feed.pauses.drafter_pauses,
            company=self._company,
        )

    def _decide_freely(self, feed: DraftFeed, state: VerifierState) -> Decision:
        now_s = self._clock.monotonic()
        spare_steps = self._spare_steps(feed) if state.is_idle else 0
        is_over = now_s >= self._pace.deadline_s or spare_steps > 0
        draft = NOTHING if state.is_refused else self._ready(feed, state, is_over=is_over)
        if draft:
            return Decision(draft)
        if spare_steps:
            return Decision(free_run=True, run_steps=min(spare_steps, self._free_run_steps))
        ends_s = self._pace.deadline_s if feed.drafter is not None else self._pace.least_deadline_s
        if state.is_idle and (state.is_refused or now_s >= ends_s):
            starved = feed.drafter is not None and not state.is_refused
            return Decision(free_run=True, run_steps=self._free_run_steps, starved=starved)
        remaining_s = self._pace.deadline_s - now_s if feed.drafter is not None else ends_s - now_s
        return Decision(wait_s=remaining_s if remaining_s > 0 else None)

    def _spare_steps(self, feed: DraftFeed) -> int:
        """Steps that the target can take before the drafter goes on."""
        if feed.drafter is None or not self._length.may_meet_run:
            return 0
        return self._pace.spare_steps(feed.answers.due_ms)

    def _ready(self, feed: DraftFeed, state: VerifierState, *, is_over: bool) -> Draft:
        """The draft, if it is time to send it: it is there, or no more of it is near, or the wait is over."""
        limit_tokens, known = min(state.limit_tokens, self._length.plan.ready), feed.read()
        draft = known.draft
        if known.is_guess and len(known.whole.ids) >= self._length.plan.sufficient:
            return known.whole.cut(limit_tokens)
        is_there = len(draft.ids) >= min(limit_tokens, self._length.plan.wanted) or feed.ended
        if is_there and not self._length.waits_out(is_idle=state.is_idle, is_shaped=feed.pauses.is_shaped):
            return draft.cut(limit_tokens)
        return known.whole.cut(limit_tokens) if is_over else NOTHING

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
        return Decision(free_run=state.is_idle, run_steps=self._free_run_steps, starved=state.is_idle)
