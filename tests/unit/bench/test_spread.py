"""Medians and tails."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from draftmesh.bench.spread import Percentiles, Spread, quantile


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
def test_quantiles_are_those_of_numpy(count: int) -> None:
    """Of any number of values, in any order."""
    random = Random(count)
    values = [random.gauss(0, 1) for _ in range(count)]
    shares = (0.0, 0.01, 0.25, 0.5, 0.95, 0.99, 1.0)
    assert [quantile(values, share) for share in shares] == pytest.approx([np.quantile(values, s) for s in shares])


def test_a_spread_is_the_median_between_the_quartiles() -> None:
    """Of five values, their second and fourth; it says so in words."""
    found = Spread.of([5.0, 1.0, 2.0, 4.0, 3.0])
    assert found == Spread(3.0, 2.0, 4.0, 1.0, 5.0, 5)
    assert found.half_range == 1.0
    assert str(found) == "3.00 (2.00–4.00)"


def test_a_spread_of_one_value_is_that_value() -> None:
    """There is nothing to interpolate."""
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0, 2.0, 2.0, 1)


def test_a_tail_is_what_few_values_lie_above() -> None:
    """Of 0 to 100, 99 is the 99th percentile."""
    assert Percentiles.of([float(value) for value in range(101)]) == Percentiles(50.0, 95.0, 99.0)
