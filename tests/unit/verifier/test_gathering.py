"""When a step waits for sequences that are about to come back."""

from __future__ import annotations

import pytest

from draftmesh.core.endpoint import CostPoint
from draftmesh.engine.scheduler import Ready
from draftmesh.verifier.gathering import Gathering

FLAT = (CostPoint(1, 60.0), CostPoint(16, 75.0))
"""A row costs one millisecond."""

STEEP = (CostPoint(1, 60.0), CostPoint(16, 960.0))
"""A step costs nothing but its rows."""

ONE = Ready(sequences=1, rows=4, going_on=0)
OTHER = 2
"""A sequence that is away."""


def used_to(absence_s: float, *, tokens: int = 3, jitter_s: float = 0.0) -> Gathering:
    """Sequences have always come back after this time, up to the jitter, with four rows; one has just left, at 0."""
    gathering = Gathering()
    for number in range(40):
        gathering.left(1, tokens, 0.0)
        gathering.came(1, 4, absence_s + (jitter_s if number % 2 else -jitter_s))
    gathering.left(OTHER, tokens, 0.0)
    return gathering


def test_a_step_waits_for_who_comes_back_soon() -> None:
    """Until it is there, if nobody comes meanwhile."""
    gathering = used_to(0.020)
    assert gathering.wait_s(ONE, FLAT, 0.0) == pytest.approx(0.020)
    assert gathering.wait_s(ONE, FLAT, 0.015) == pytest.approx(0.005)


def test_nobody_is_waited_for_where_that_costs_more_than_another_step() -> None:
    """Since they are away for long, or their rows cost as much in a step of their own."""
    assert used_to(0.080).wait_s(ONE, FLAT, 0.0) == 0.0
    assert used_to(0.020).wait_s(ONE, STEEP, 0.0) == 0.0


def test_a_step_waits_for_those_who_are_there() -> None:
    """If nobody is, there is nothing to put off; if nobody is away, nothing to wait for; nor if they are gone."""
    gathering = used_to(0.020)
    assert gathering.wait_s(Ready(0, 0, 0), FLAT, 0.0) == 0.0
    gathering.forget(OTHER)
    assert gathering.wait_s(ONE, FLAT, 0.0) == 0.0
    back = used_to(0.020)
    back.came(OTHER, 4, 0.020)
    assert back.wait_s(ONE, FLAT, 0.020) == 0.0


def test_who_is_late_is_waited_for_a_little_and_then_no_more() -> None:
    """By how much absences differ from each other."""
    punctual, fickle = used_to(0.020), used_to(0.020, jitter_s=0.005)
    assert punctual.wait_s(ONE, FLAT, 0.021) == 0.0
    assert 0.005 < fickle.wait_s(ONE, FLAT, 0.021) < 0.015
    assert fickle.wait_s(ONE, FLAT, 0.035) == 0.0


def test_nothing_is_put_off_while_nothing_is_known() -> None:
    """Of absences or of steps."""
    gathering = Gathering()
    assert gathering.all_are_there
    gathering.left(OTHER, 3, 0.0)
    assert (gathering.all_are_there, gathering.wait_s(ONE, FLAT, 0.0)) == (False, 0.0)
    assert used_to(0.020).wait_s(ONE, (), 0.0) == 0.0


def test_those_who_decode_alone_are_kept_waiting_for_more_tokens_only() -> None:
    """They have one from each step: the more they are, the less is won by one step in place of two."""
    gathering = used_to(0.030, tokens=2)
    assert gathering.wait_s(Ready(sequences=1, rows=1, going_on=1), FLAT, 0.0) == 0.0
    assert gathering.wait_s(Ready(sequences=9, rows=33, going_on=1), FLAT, 0.0) > 0.0


def test_a_long_absence_has_another_reason() -> None:
    """It says nothing of how long a draft takes."""
    gathering = used_to(0.020)
    gathering.came(OTHER, 4, 30.0)
    gathering.left(OTHER, 3, 30.0)
    assert gathering.wait_s(ONE, FLAT, 30.0) == pytest.approx(0.020)
