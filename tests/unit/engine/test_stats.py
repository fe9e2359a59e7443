"""Moving averages and the cost curve."""

from __future__ import annotations

import pytest

from draftmesh.core.endpoint import CostPoint, LoadReport
from draftmesh.core.moving_average import MovingAverage
from draftmesh.engine.stats import EngineStats, StepMeter, StepReport


def test_the_first_values_are_averaged_plainly() -> None:
    """No start value lingers."""
    average = MovingAverage(0.05)
    for value in (1.0, 2.0, 6.0):
        average.add(value)
    assert average.value == pytest.approx(3.0)


def test_new_values_prevail_in_the_end() -> None:
    """The average follows a change."""
    average = MovingAverage(0.05)
    for value in [1.0] * 100 + [5.0] * 200:
        average.add(value)
    assert average.value == pytest.approx(5.0, abs=0.01)


def test_small_steps_have_a_point_of_their_own_and_large_ones_share() -> None:
    """1 to 8 rows exactly; beyond, a point stands for its neighbours, at their mean."""
    meter = StepMeter(256)
    for rows in (1, 2, 8, 200, 210, 256):
        meter.add(StepReport(rows, 1, float(rows), 0.0))
    assert meter.costs == (
        CostPoint(1, 1.0),
        CostPoint(2, 2.0),
        CostPoint(8, 8.0),
        CostPoint(205, 205.0),
        CostPoint(256, 256.0),
    )


@pytest.mark.parametrize("budget", [1, 7, 8, 9, 15, 16, 255, 1000])
def test_every_step_size_within_the_budget_has_a_place(budget: int) -> None:
    """And larger sizes never come before smaller ones."""
    meter = StepMeter(budget)
    for rows in range(1, budget + 1):
        meter.add(StepReport(rows, 1, float(rows), 0.0))
    points = [point.rows for point in meter.costs]
    assert points == sorted(points)
    assert meter.rows == budget * (budget + 1) // 2


def test_load_shows_the_engine() -> None:
    """Every engine number of a load report comes from the stats, which differ in each field here."""
    stats = EngineStats(
        sequences=1,
        max_sequences=2,
        waiting=3,
        free_blocks=4,
        total_blocks=5,
        batch_sequences=6.5,
        batch_rows=7.5,
        token_budget=8,
        costs=(CostPoint(1, 9.0),),
        steps=10,
        rows=11,
        sequence_steps=12,
        preemptions=13,
        prefix_hit_tokens=14,
    )
    assert stats.load == LoadReport(
        waiting_sequences=3,
        kv_blocks_free=4,
        kv_blocks_total=5,
        batch_sequences=6.5,
        token_budget=8,
        costs=(CostPoint(1, 9.0),),
    )
