"""How many tokens to draft: what a round wins against what it costs.

With k draft tokens, each accepted with probability a if all before it were, a round commits

    E(k) = 1 + a + … + aᵏ = (1 − aᵏ⁺¹) / (1 − a)

tokens in the mean (Leviathan et al. 2023, eq. 1). It costs a step of the target with 1 + k rows for each of the
sessions that share it, and the wait for the draft wherever that was not drawn ahead: after a round that was not
accepted whole, the drafter begins anew. The best k has the most tokens per second (goodput, Liu et al. 2406.14066).

How far away the drafter is has no say in k: a round trip is paid for each draft that is begun anew, that is for each
rejected token, and a share 1 − a of all tokens is rejected, however long the drafts are.
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
    """What a round costs, in milliseconds."""

    step: CostCurve
    """Of the target."""

    sequences: float = 1.0
    """Sessions that share a step, at least 1; they are taken to draft as much."""

    draft_token_ms: float = 0.0
    """Drawing one draft token."""

    def round_ms(self, draft_tokens: int, acceptance: float) -> float:
        """Mean duration of a round.

        While one session waits for its draft, the verifier works for the others: with n sessions a wait costs the
        verifier an n-th of itself.
        """
        step_ms = self.step.ms(self.sequences * (1 + draft_tokens))
        begins_anew = 1.0 - acceptance ** (draft_tokens + 1)
        return step_ms + begins_anew * draft_tokens * self.draft_token_ms / self.sequences


def expected_tokens(draft_tokens: int, acceptance: float) -> float:
    """E(k): mean tokens that a round with so many draft tokens commits."""
    return sum(acceptance**position for position in range(draft_tokens + 1))


def goodput(draft_tokens: int, acceptance: float, costs: RoundCosts) -> float:
    """Mean tokens per millisecond."""
    return expected_tokens(draft_tokens, acceptance) / costs.round_ms(draft_tokens, acceptance)


def best_draft_length(most: int, acceptance: float, costs: RoundCosts) -> int:
    """The k from 1 to ``most`` with the greatest goodput; the smallest of them if several have it."""
    return max(range(1, most + 1), key=lambda draft_tokens: goodput(draft_tokens, acceptance, costs), default=0)


def speedup(draft_tokens: int, acceptance: float, costs: RoundCosts, sessions: float) -> float:
    """Tokens of all sessions in a time if they draft so, divided by those if none does.

    Args:
        draft_tokens: Of every round.
        acceptance: Of a draft token.
        costs: Of a round that the sessions share while they draft.
        sessions: All of them, no fewer than share a step: those that wait for a draft would not if they had none.
    """
    drafting = costs.sequences * goodput(draft_tokens, acceptance, costs)
    return drafting * costs.step.ms(sessions) / sessions


def useful_length(acceptance: float, least_use: float) -> int:
    """Draft tokens beyond a commit that are wanted with a probability of at least ``least_use``, in (0, 1].

    The j-th one is wanted if all before it are accepted, aʲ⁻¹. Capped where a is near 1.
    """
    certain = 1.0 - 1e-3
    return 1 + math.floor(math.log(least_use) / math.log(min(max(acceptance, 1e-9), certain)))
