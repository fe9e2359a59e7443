"""How many tokens to draft: what a round wins against what it costs.

With k draft tokens, each accepted with probability a if all before it were, a round commits

    E(k) = 1 + a + … + aᵏ = (1 − aᵏ⁺¹) / (1 − a)

tokens in the mean (Leviathan et al. 2023, eq. 1). The best k has the most tokens per second (goodput, Liu et al.
2406.14066).

A session that is alone with its target waits for its drafts: a round costs a step with 1 + k rows, and the wait
wherever the draft was not drawn ahead, since after a round that was not accepted whole the drafter begins anew.

Where sessions share steps there are two ways, and the better one is taken. If drafts come soon, all wait for them, and
a round costs a step with all their rows, and the wait for the last draft.

Else no step waits for anybody's draft. So the target runs on meanwhile and says a token in each step, as it would
without a drafter, and the draft joins the first step after it has come. If that is j steps later, the first j of its
tokens are decided already, and the others are of use if those were right: a cycle of j + 1 steps commits

    j + 1 + aʲ (E(k − j) − 1)

tokens, for j + 1 + aʲ (k − j) rows.

How far away the drafter is has no say in the k of a session that is alone: a round trip is paid for each draft that is
begun anew, that is for each rejected token, and a share 1 − a of all tokens is rejected, however long the drafts are.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from draftmesh.core.endpoint import CostPoint


class CostCurve:
    """Duration of a step by its rows: measured points, and straight lines between them and beyond the last."""

    def __init__(self, points: Sequence[CostPoint]) -> None:
        """From at least one point; a step with more rows is taken to last no less than one with fewer."""
        ordered = sorted(points, key=lambda point: point.rows)
        self._rows = [point.rows for point in ordered]
        self._ms = list(accumulate((point.milliseconds for point in ordered), max))

    @classmethod
    def of(cls, points: Sequence[CostPoint]) -> CostCurve | None:
        """That of what has been measured; None if nothing has."""
        return cls(points) if points else None

    def ms(self, rows: float) -> float:
        """Milliseconds of a step with so many rows, more than 0."""
        above = bisect_left(self._rows, rows)
        if above == 0:
            return self._ms[0]
        if above == len(self._rows):
            return self._ms[-1] + (rows - self._rows[-1]) * self._last_slope
        share = (rows - self._rows[above - 1]) / (self._rows[above] - self._rows[above - 1])
        return self._ms[above - 1] + share * (self._ms[above] - self._ms[above - 1])

    @property
    def _last_slope(self) -> float:
        """Milliseconds of one more row: over the whole curve, since two neighbours say little but noise."""
        if len(self._rows) < 2:
            return 0.0
        return (self._ms[-1] - self._ms[0]) / (self._rows[-1] - self._rows[0])


@dataclass(frozen=True, slots=True)
class RoundCosts:
    """What rounds cost, in milliseconds."""

    step: CostCurve
    """Of the target."""

    sessions: int = 1
    """That share the target's steps, at least 1; they are taken to draft as much."""

    draft_token_ms: float = 0.0
    """Drawing one draft token."""

    answer_ms: float = 0.0
    """From a commit to the first of a draft that is begun anew."""

    def draft_ms(self, draft_tokens: int) -> float:
        """From a commit to the last token of such a draft."""
        return self.answer_ms + draft_tokens * self.draft_token_ms


def expected_tokens(draft_tokens: int, acceptance: float) -> float:
    """E(k): mean tokens that a round with so many draft tokens commits."""
    return sum(acceptance**position for position in range(draft_tokens + 1))


def goodput(draft_tokens: int, acceptance: float, costs: RoundCosts) -> float:
    """Mean tokens of a session per millisecond, for at least one draft token."""
    if costs.sessions == 1:
        return _goodput_alone(draft_tokens, acceptance, costs)
    return max(_goodput_waiting(draft_tokens, acceptance, costs), _goodput_running_on(draft_tokens, acceptance, costs))


def runs_on(draft_tokens: int, acceptance: float, costs: RoundCosts) -> bool:
    """Whether sessions that share steps have more of a target that does not wait for their drafts."""
    if costs.sessions == 1:
        return False
    waiting = _goodput_waiting(draft_tokens, acceptance, costs)
    return _goodput_running_on(draft_tokens, acceptance, costs) > waiting


def _goodput_alone(draft_tokens: int, acceptance: float, costs: RoundCosts) -> float:
    begins_anew = 1.0 - acceptance ** (draft_tokens + 1)
    round_ms = costs.step.ms(1 + draft_tokens) + begins_anew * draft_tokens * costs.draft_token_ms
    return expected_tokens(draft_tokens, acceptance) / round_ms


def _goodput_waiting(draft_tokens: int, acceptance: float, costs: RoundCosts) -> float:
    """In company: of many drafts one is always begun anew, and all wait for it."""
    round_ms = costs.step.ms(costs.sessions * (1 + draft_tokens)) + costs.draft_ms(draft_tokens)
    return expected_tokens(draft_tokens, acceptance) / round_ms


def _goodput_running_on(draft_tokens: int, acceptance: float, costs: RoundCosts) -> float:
    late_steps = max(1, math.ceil(costs.draft_ms(draft_tokens) / costs.step.ms(costs.sessions)))
    left_tokens, steps = max(0, draft_tokens - late_steps), late_steps + 1
    of_use = acceptance**late_steps
    tokens = steps + of_use * (expected_tokens(left_tokens, acceptance) - 1)
    rows = steps + of_use * left_tokens
    return tokens / (steps * costs.step.ms(costs.sessions * rows / steps))


def best_draft_length(most: int, acceptance: float, costs: RoundCosts) -> int:
    """The k from 1 to ``most`` with the greatest goodput; the smallest of them if several have it."""
    return max(range(1, most + 1), key=lambda draft_tokens: goodput(draft_tokens, acceptance, costs), default=0)


def least_sufficient(usual: int, acceptance: float, step: CostCurve, wait_ms: float) -> int:
    """The fewest tokens that it pays to send at once, instead of waiting so long for a draft of ``usual`` tokens."""
    waited = expected_tokens(usual, acceptance) / (step.ms(1 + usual) + wait_ms)
    shorter = (k for k in range(1, usual) if expected_tokens(k, acceptance) / step.ms(1 + k) >= waited)
    return next(shorter, usual)


def least_confidence(usual: int, most: int, acceptance: float, costs: RoundCosts) -> float:
    """How probable a draft has to be so that one more token pays.

    If all of a draft is right with probability P, another token commits P a more tokens in the mean. It costs a row,
    which all sessions that share the step wait for, and its drawing, unless the target runs on meanwhile; in that time
    they all commit what they usually do. In the mean over the rows up to ``most``: where a row more is dear, those
    after it may be cheap.

    Args:
        usual: Length of a draft in the mean, at least 1.
        most: Length of a draft at most, at least ``usual``.
        acceptance: a, above 0.
        costs: Of a round.

    Returns:
        A probability, never one that even a sure draft would miss.
    """
    sessions = costs.sessions
    more_rows = sessions * most
    row_ms = (costs.step.ms(sessions + more_rows) - costs.step.ms(sessions)) / more_rows
    token_ms = sessions * row_ms + (0.0 if runs_on(usual, acceptance, costs) else costs.draft_token_ms)
    return max(0.0, min(_SURE, goodput(usual, acceptance, costs) * token_ms / acceptance))


def useful_length(acceptance: float, least_use: float) -> int:
    """Draft tokens beyond a commit that are wanted with a probability of at least ``least_use``, in (0, 1].

    The j-th one is wanted if all before it are accepted, aʲ⁻¹. Capped where a is near 1.
    """
    certain = 1.0 - 1e-3
    return 1 + math.floor(math.log(least_use) / math.log(min(max(acceptance, 1e-9), certain)))


_SURE = 0.95
"""A draft that is right with this probability goes on, whatever it costs."""
