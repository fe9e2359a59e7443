"""How much of the gain delay may take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from draftmesh.bench.network.overlap import without_overlap
from draftmesh.bench.network.result import Point, criterion
from draftmesh.bench.spread import Spread
from draftmesh.coordinator.config import CoordinatorConfig


def points(**speedups: float) -> list[Point]:
    """By milliseconds of round trip time."""
    flat = Spread.of([10.0])
    return [
        Point(float(name.removeprefix("at_")), flat, Spread.of([value]), flat, 0.5, 4.0)
        for name, value in speedups.items()
    ]


@pytest.mark.parametrize(("speedup", "holds"), [(2.0, True), (1.71, True), (1.69, False), (0.9, False)])
def test_seven_tenths_of_the_gain_must_be_left(speedup: float, holds: bool) -> None:
    """The gain is the speed-up less one: at 2 times, 1.7 times is enough."""
    found = criterion(points(at_0=2.0, at_20=speedup), 20.0)
    assert found.holds is holds
    assert found.gain_share == pytest.approx(speedup - 1)


def test_without_a_gain_there_is_nothing_to_keep() -> None:
    """A drafter that does not pay on the spot has not met the criterion by losing nothing."""
    found = criterion(points(at_0=0.9, at_20=1.0), 20.0)
    assert (found.gain_share, found.holds) == (None, False)


def test_drafting_without_overlap_asks_for_one_draft_and_no_more() -> None:
    """All else stays as it was configured."""
    config = CoordinatorConfig(draft_tokens=5)
    changed = without_overlap(config)
    changed.validate()
    assert changed.generation.feed.max_ahead_tokens == 5
    assert not changed.generation.rounds_ahead
    assert changed.generation.draft_length.branches == 0 < config.generation.draft_length.branches
    assert changed.generation.pace == replace(config.generation.pace, takes_free_steps=False)
