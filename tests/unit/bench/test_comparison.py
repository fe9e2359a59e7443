"""How two speeds are compared."""

from __future__ import annotations

from random import Random

import pytest

from draftmesh.bench.comparison import share
from tests.unit.inspection.builders import timed


def test_prompts_that_are_hard_for_both_are_no_error() -> None:
    """One is a quarter faster on each prompt, however slow that prompt is: there is nothing to doubt."""
    slow = [timed(10, seconds) for seconds in (1.0, 2.0, 5.0)]
    fast = [timed(10, seconds / 1.25) for seconds in (1.0, 2.0, 5.0)]
    found = share(fast, slow)
    assert (found.value, found.error) == pytest.approx((1.25, 0.0))


def test_the_error_is_how_much_the_share_would_scatter() -> None:
    """Over many benchmarks of eight prompts the stated error is the deviation that the shares have."""
    random = Random(3)

    def bench() -> tuple[float, float]:
        hardness = [random.uniform(1, 3) for _ in range(8)]
        rows = [[timed(10, hard * random.uniform(0.8, 1.2)) for hard in hardness] for _ in range(2)]
        found = share(*rows)
        return found.value, found.error

    found = [bench() for _ in range(3000)]
    mean = sum(value for value, _ in found) / len(found)
    scatter = (sum((value - mean) ** 2 for value, _ in found) / len(found)) ** 0.5
    stated = (sum(error**2 for _, error in found) / len(found)) ** 0.5
    assert stated == pytest.approx(scatter, rel=0.1)


def test_one_generation_says_nothing_of_its_error() -> None:
    """There is nothing to compare it with."""
    assert share([timed(10, 1.0)], [timed(10, 2.0)]).error == 0.0
