"""Whether a step is put off for sequences that are about to come back.

A step costs much before its first row. A sequence whose draft has been judged comes back with the next draft as soon as
that is drawn; if a step does not wait for it, there is another step for it, and what a step costs is paid twice. So the
tokens per time of both ways are compared: to go now, and again with those who come meanwhile; or to wait for all, and
go once. Sequences that decode alone have a token from either step, if there are two.

How long they are away is measured. Who has not come back after the mean and twice the mean deviation is not waited for
any more (the time-out of Jacobson, Congestion avoidance and control, 1988, with 2 in place of 4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from draftmesh.core.endpoint import CostPoint
from draftmesh.core.moving_average import MovingAverage
from draftmesh.decoding.draft_length import CostCurve
from draftmesh.engine.scheduler import Ready

_WEIGHT = 0.1
_DEVIATIONS = 2.0
_LONGEST_ABSENCE_S = 1.0
"""Who is away longer is not with a drafter: that tells nothing of others."""


class Gathering:
    """Of one engine, on its thread."""

    def __init__(self) -> None:
        """Nobody is away, and nobody has ever been."""
        self._left_s: dict[int, float] = {}
        self._absence_s = MovingAverage(_WEIGHT)
        self._deviation_s = MovingAverage(_WEIGHT)
        self._rows = MovingAverage(_WEIGHT)  # that who comes back brings
        self._tokens = MovingAverage(_WEIGHT)  # that come of them

    @property
    def all_are_there(self) -> bool:
        """Whether nobody is away, so that there is nothing to ask."""
        return not self._left_s

    def left(self, sequence_id: int, tokens: int, now_s: float) -> None:
        """A sequence rests, after a step that has given it so many tokens."""
        self._left_s[sequence_id] = now_s
        self._tokens.add(tokens)

    def came(self, sequence_id: int, rows: int, arrived_s: float) -> None:
        """A sequence has a request again, of so many rows, which arrived then: perhaps before the sequence left."""
        absence_s = arrived_s - self._left_s.pop(sequence_id, math.inf)
        if not 0.0 < absence_s < _LONGEST_ABSENCE_S:
            return
        if self._absence_s.count:
            self._deviation_s.add(abs(absence_s - self._absence_s.value))
        self._absence_s.add(absence_s)
        self._rows.add(rows)

    def forget(self, sequence_id: int) -> None:
        """A sequence will not come back."""
        self._left_s.pop(sequence_id, None)

    def wait_s(self, ready: Ready, costs: Sequence[CostPoint], now_s: float) -> float:
        """How long the next step had better wait, if nobody comes meanwhile; 0: not at all.

        Args:
            ready: What it could compute now.
            costs: What steps take by their rows.
            now_s: The present time.
        """
        expected_s, steps = self._expected_s(now_s), CostCurve.of(costs)
        if not ready.sequences or not expected_s or steps is None:
            return 0.0
        wait_s = max(expected_s)
        return wait_s if self._pays(ready, len(expected_s), steps, 1e3 * wait_s) else 0.0

    def _pays(self, ready: Ready, absent: int, steps: CostCurve, wait_ms: float) -> bool:
        rows = absent * self._rows.value
        tokens = ready.going_on + (ready.sequences - ready.going_on + absent) * self._tokens.value
        together_ms = wait_ms + steps.ms(ready.rows + rows)
        apart_ms = max(wait_ms, steps.ms(ready.rows)) + steps.ms(rows + ready.going_on)
        return tokens / together_ms > (tokens + ready.going_on) / apart_ms

    def _expected_s(self, now_s: float) -> list[float]:
        """Of each that is still waited for: until it comes."""
        if not self._absence_s.count:
            return []
        longest_s = self._absence_s.value + _DEVIATIONS * self._deviation_s.value
        away_s = [now_s - left_s for left_s in self._left_s.values()]
        # Who should have been back may come any moment, and at the latest at the end of its patience.
        return [
            (self._absence_s.value if one_s < self._absence_s.value else longest_s) - one_s
            for one_s in away_s
            if one_s < longest_s
        ]
