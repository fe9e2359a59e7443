"""What verifying takes by a published cost curve."""

from __future__ import annotations

import pytest

from draftmesh.bench.subject import interpolated_ms
from draftmesh.core.endpoint import CostPoint

CURVE = (CostPoint(1, 10.0), CostPoint(8, 24.0), CostPoint(16, 40.0))


@pytest.mark.parametrize(("rows", "milliseconds"), [(1, 10.0), (8, 24.0), (9, 26.0), (4, 16.0), (16, 40.0), (40, 40.0)])
def test_between_two_points_the_curve_is_a_line(rows: int, milliseconds: float) -> None:
    """Beyond the last one it is taken to be level."""
    assert interpolated_ms(CURVE, rows) == pytest.approx(milliseconds)


def test_a_curve_without_points_says_nothing() -> None:
    """It is 0, and a curve that begins late is taken to begin level."""
    assert interpolated_ms((), 4) == 0.0
    assert interpolated_ms(CURVE[1:], 2) == 24.0
