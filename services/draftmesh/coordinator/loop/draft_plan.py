"""What a session's next draft is to be: how long, how sure, and what the target does meanwhile.

A drafter that knows how probable its tokens are pauses by itself where going on does not pay, so that each draft is as
long as it deserves (:func:`planned_by_confidence`). For any other, all drafts get the length that is best in the mean
(:func:`planned_by_acceptance`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from draftmesh.core.draft import MAX_BRANCH_TOKENS, DraftExtent
from draftmesh.decoding.draft_length import (
    RoundCosts,
    best_draft_length,
    least_confidence,
    least_sufficient,
    runs_on,
    useful_length,
)


@dataclass(frozen=True, slots=True)
class DraftPlan:
    """Of one session, until it knows more."""

    wanted: int
    """Target tokens of a draft that it pays to wait for, unless it pauses before."""

    ready: int
    """Tokens that it pays to send when they are there: no less than that."""

    sufficient: int
    """Tokens that it pays to send when more of them would be a draft that is begun anew."""

    sufficient_ahead: int
    """Tokens that it pays to have at the verifier for what it may say, so that it need not wait for the way there and
    back: no more than ``sufficient``."""

    extent: DraftExtent = DraftExtent()
    """What the drafter is told."""

    runs_on: bool = False
    """Whether the target is to go on alone after a draft until the next one comes."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a plan is made by."""

    acceptance: float
    """Probability that a draft token is accepted if all before it were."""

    judged_tokens: float
    """Mean length of drafts, in target tokens."""

    waiting: RoundCosts
    """What rounds cost where drafts are waited for."""

    draft_wait_ms: float = 0.0
    """How long a draft that is begun anew is waited for; it is as long as they usually are."""

    link_ms: float = 0.0
    """How long the way to the verifier and back takes."""

    @property
    def at_once(self) -> RoundCosts:
        """What they cost with drafts that are there already."""
        return RoundCosts(self.waiting.step, self.waiting.sessions)

    def runs_on(self, usual: int) -> bool:
        """See :attr:`DraftPlan.runs_on`; drafts have ``usual`` tokens."""
        return runs_on(usual, self.acceptance, self.waiting)

    def sufficient(self, usual: int) -> int:
        """See :attr:`DraftPlan.sufficient`; drafts have ``usual`` tokens."""
        return least_sufficient(usual, self.acceptance, self.waiting.step, self.draft_wait_ms)

    def sufficient_ahead(self, usual: int) -> int:
        """See :attr:`DraftPlan.sufficient_ahead`."""
        return least_sufficient(usual, self.acceptance, self.waiting.step, self.draft_wait_ms + self.link_ms)

    def longest(self, most: int) -> int:
        """The length, up to ``most``, beyond which a draft that goes well does not pay either.

        Products of matrices are computed in blocks of rows, so that one row more may cost a third of the step. In
        company the others decide how many rows a step has.
        """
        if self.waiting.sessions > 1:
            return most
        return best_draft_length(most, max(self.acceptance, _GOES_WELL), self.at_once)

    def comes_late(self, usual: int) -> bool:
        """Whether what the drafter begins when it hears of a verdict is there after the next one."""
        return self.waiting.draft_ms(usual) + self.link_ms > self.waiting.step.ms(1 + usual)


@dataclass(frozen=True, slots=True)
class Ahead:
    """How much is drafted while the draft before it is being judged."""

    drafter_tokens: float
    """Drafter tokens that are asked for in place of a target token."""

    least_use: float | None
    """Probability with which a token is to be wanted; None: nothing is drafted then."""

    branches: int = 0
    """Branches of the draft for a session that is alone with its target; in company drafters have enough to do."""

    late_branches: int = 0
    """As many, and branches of those, where what the drafter begins at a verdict comes late."""

    def extent(self, ahead_tokens: int, usual: int, now: Expectations, least_confidence: float = 0.0) -> DraftExtent:
        """What the drafter is told: so many tokens, and branches of what follows drafts of ``usual`` target tokens."""
        branches = self.late_branches if now.comes_late(usual) else self.branches
        if self.least_use is None or now.waiting.sessions > 1 or not branches:
            return DraftExtent(ahead_tokens, least_confidence)
        branch_tokens = min(MAX_BRANCH_TOKENS, 1 + math.ceil(self.drafter_tokens * usual))
        return DraftExtent(ahead_tokens, least_confidence, branches, branch_tokens)

    def tokens(self, wanted: int, acceptance: float, sessions: int) -> int:
        """Drafter tokens beyond a commit, for drafts of ``wanted`` target tokens."""
        if self.least_use is None:
            return math.ceil(self.drafter_tokens * wanted)
        useful = max(wanted + 1, useful_length(acceptance, min(1.0, self.least_use * sessions)))
        return math.ceil(self.drafter_tokens * useful) + _UNSTABLE_TOKENS


def planned_by_acceptance(most: int, now: Expectations, ahead: Ahead) -> DraftPlan:
    """The best length in the mean, up to ``most`` target tokens."""
    wanted = best_draft_length(most, now.acceptance, now.waiting)
    return DraftPlan(
        wanted,
        max(wanted, best_draft_length(most, now.acceptance, now.at_once)),
        now.sufficient(wanted),
        now.sufficient_ahead(wanted),
        ahead.extent(ahead.tokens(wanted, now.acceptance, now.waiting.sessions), wanted, now),
        now.runs_on(wanted),
    )


def planned_by_confidence(most: int, now: Expectations, ahead: Ahead) -> DraftPlan:
    """Up to ``most`` target tokens, for as long as each is worth its costs."""
    most = now.longest(most)
    usual = min(most, max(1, round(now.judged_tokens)))
    least = least_confidence(usual, most, now.acceptance, now.waiting)
    tokens = ahead.tokens(most, now.acceptance, now.waiting.sessions)
    extent = ahead.extent(tokens, usual, now, least)
    enough = now.sufficient(usual), now.sufficient_ahead(usual)
    return DraftPlan(most, most, *enough, extent, now.runs_on(usual))


_GOES_WELL = 0.85
"""Acceptance of drafts that their drafter has not broken off after a few tokens."""

_UNSTABLE_TOKENS = 2
"""Drafter tokens at a draft's end that may have to be held back until more text follows."""
