"""Whether drafting pays: a session that loses by it rests, its drafter let go, and tries again after a while.

What drafting has lost is counted in steps: the time that went by, in steps that the target would have taken alone,
less the tokens that were committed. It is measured, not modelled, so whatever drafting costs is in it: rows, waits,
round trips, and a drafter that takes the processor away from its own verifier. The losses add up to a sum that
never falls below zero (Page, Continuous inspection schemes, 1954), so bad luck after good luck is not punished, and a
session that begins to lose rests after a bounded loss. Every rest that follows another without a gain between them is
twice as long, so what a useless drafter costs is a vanishing share of a long session.

A rest also shows what a step takes while nobody drafts: until then the target's cost curve is believed.

Sessions can rest together (:mod:`company`). Then each tells its share of what they have lost in the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_at_least, require_not_negative, require_positive, require_up_to
from draftmesh.decoding.draft_length import CostCurve


@dataclass(frozen=True, slots=True)
class RestConfig:
    """Numbers of resting."""

    tolerance_steps: float = 5.0
    """A session rests when drafting has lost this many steps of the target. Fewer were simulated to cost drafters of
    middling acceptance up to 4 % in sessions of 64 tokens, by rests after bad luck."""

    trial_steps: float = 1.5
    """What drafting may lose after a rest before the next one; at most the tolerance."""

    least_gain: float = 0.05
    """Drafting counts as lost time unless it is faster by this share."""

    first_tokens: int = 16
    """Length of the first rest."""

    longest_tokens: int = 512
    """Rests get longer up to this."""

    most_lost_steps: float = math.inf
    """What one verdict counts as lost at most: what takes longer than that has another reason."""

    refresh_tokens: float = math.inf
    """After so many tokens without a rest there is a short one, to see what a step takes by now."""

    smoothing: float = 0.1
    """Weight of the newest step in the moving average of steps at a rest, in (0, 1]; of the first ones all have the
    same weight."""

    def validate(self) -> None:
        """Raise :class:`ConfigError`, naming the field, if a value makes no sense."""
        require_positive(self, "tolerance_steps", "trial_steps", "most_lost_steps", "refresh_tokens")
        require_up_to(1, self, "smoothing")
        require_not_negative(self, "least_gain")
        require_at_least(1, self, "first_tokens")
        if not self.trial_steps <= self.tolerance_steps or not self.first_tokens <= self.longest_tokens:
            raise ConfigError("trial_steps must not exceed tolerance_steps, nor first_tokens longest_tokens")


@dataclass(frozen=True, slots=True)
class Spent:
    """What one verdict has cost and brought."""

    elapsed_ms: float
    """Since the verdict before."""

    tokens: int
    """Committed by it."""

    rows_without_draft: int
    """Rows that its last step would have had, over all sessions, without the drafts of those who rest."""

    share: float = 1.0
    """Of those who rest together: one part in so many as there are."""


class Rest:
    """Of one session, or of several in the mean."""

    def __init__(self, config: RestConfig, *, begins_resting: bool = False) -> None:
        """Begin with drafting, or with the first rest."""
        self._config = config
        self._lost_steps = 0.0
        self._left_tokens = 0.0
        self._next_tokens = config.first_tokens
        self._untold = 0.0  # share of those of whom we have not heard yet what was under way when the rest began
        self._drafted_tokens = 0.0  # since the last rest
        self._step_ms: float | None = None  # at the last rest
        self._seen_steps = 0.0  # of it
        self._step_rows = 1
        if begins_resting:
            self._begin_longer()

    @property
    def left_tokens(self) -> int:
        """Tokens of each until the rest is over; 0: they draft."""
        return math.ceil(self._left_tokens - _ROUNDING)

    def observe(self, spent: Spent, costs: CostCurve | None) -> None:
        """Take in a verdict; ``costs`` is what the target's steps take now, if that is known."""
        if self.left_tokens:
            self._learn(spent)
            self._left_tokens = max(0.0, self._left_tokens - spent.share * spent.tokens)
        elif (alone_ms := self._alone_ms(spent, costs)) is not None:
            lost_steps = spent.elapsed_ms / alone_ms - spent.tokens * (1.0 - self._config.least_gain)
            self._count(spent.share * min(lost_steps, self._config.most_lost_steps))
            self._drafted_tokens += spent.share * spent.tokens
            if self._drafted_tokens >= self._config.refresh_tokens:
                self._begin(self._config.first_tokens)

    def _count(self, lost_steps: float) -> None:
        self._lost_steps = max(0.0, self._lost_steps + lost_steps)
        if not self._lost_steps:
            self._next_tokens = self._config.first_tokens
        if self._lost_steps >= self._config.tolerance_steps:
            self._lost_steps = self._config.tolerance_steps - self._config.trial_steps
            self._begin_longer()

    def _begin_longer(self) -> None:
        self._begin(self._next_tokens)
        self._next_tokens = min(2 * self._next_tokens, self._config.longest_tokens)

    def _begin(self, tokens: int) -> None:
        self._left_tokens = tokens
        self._untold = 1.0
        self._drafted_tokens = self._seen_steps = 0.0

    def _learn(self, spent: Spent) -> None:
        if self._untold > _ROUNDING or not spent.tokens:
            self._untold -= spent.share
            return
        self._seen_steps += spent.share
        weight = spent.share * max(self._config.smoothing, 1.0 / self._seen_steps)
        ms = spent.elapsed_ms / spent.tokens
        self._step_ms = ms if self._step_ms is None else self._step_ms + weight * (ms - self._step_ms)
        self._step_rows = spent.rows_without_draft

    def _alone_ms(self, spent: Spent, costs: CostCurve | None) -> float | None:
        """What the step would have taken without the drafts of those who rest; None if nothing is known.

        With other company than at the last rest, a step takes longer or shorter by what the cost curve says.
        """
        rows = spent.rows_without_draft
        if self._step_ms is None:
            return costs.ms(rows) if costs is not None else None
        return self._step_ms * (costs.ms(rows) / costs.ms(self._step_rows) if costs is not None else 1.0)


_ROUNDING = 1e-9
"""What sums of shares may be off by."""
