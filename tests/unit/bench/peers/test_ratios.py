"""How two rows compare."""

from __future__ import annotations

import pytest

from draftmesh.bench.peers.contestant import Served
from draftmesh.bench.peers.ratios import paired_ratio, speeds


def served(*speeds: float) -> list[Served]:
    """Generations of ten tokens at these speeds."""
    return [Served(ids=(0,) * 10, seconds=10 / speed) for speed in speeds]


def test_ratio_is_taken_task_by_task() -> None:
    """Twice as fast on every prompt is a ratio of 2 without spread, though the prompts differ by a factor of 10."""
    ratio = paired_ratio(served(2.0, 20.0, 8.0), served(1.0, 10.0, 4.0))
    assert (ratio.median, ratio.least, ratio.most) == pytest.approx((2.0, 2.0, 2.0))


def test_one_disturbed_task_does_not_move_the_ratio() -> None:
    """The median stands; the ends tell of it."""
    ratio = paired_ratio(served(2.0, 2.0, 2.0), served(1.0, 1.0, 0.1))
    assert ratio.median == pytest.approx(2.0)
    assert ratio.most == pytest.approx(20.0)


def test_rows_of_different_tasks_do_not_compare() -> None:
    """A row that lacks a task is a mistake."""
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio(served(1.0, 2.0), served(1.0))


def test_speed_counts_the_whole_call() -> None:
    """Tokens by seconds."""
    assert speeds([Served(ids=(1, 2, 3), seconds=1.5)]).median == pytest.approx(2.0)
