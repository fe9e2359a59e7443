"""Estimates from a guess and what was seen."""

from __future__ import annotations

from random import Random
from statistics import fmean, stdev

import pytest

from draftmesh.coordinator.learning.posterior import Estimate, Scatter

EQUAL = Scatter(noise=0.5, spread=0.5)
"""One observation says as much as the guess."""


@pytest.mark.parametrize(
    ("observations", "expected"),
    [(0.0, Estimate(10.0, 5.0)), (1.0, Estimate(15.0, 5.0 * 0.5**0.5)), (3.0, Estimate(17.5, 2.5))],
)
def test_a_guess_gives_way_to_what_is_seen(observations: float, expected: Estimate) -> None:
    """Guess 10, seen 20: with n observations n of n + 1 parts of the way, and a doubt of a root of what is left."""
    known = EQUAL.posterior(10.0, 20.0, observations)
    assert (known.mean, known.deviation) == pytest.approx((expected.mean, expected.deviation))


def test_the_doubt_that_is_stated_is_the_doubt_there_is() -> None:
    """Values that scatter around the guess as is said, and observations around them: off by what is stated."""
    random, scatter, misses = Random(5), Scatter(noise=0.4, spread=0.2), []
    for _ in range(4000):
        truth = 10.0 * random.gauss(1, scatter.spread)
        seen = fmean(truth + 10.0 * random.gauss(0, scatter.noise) for _ in range(3))
        known = scatter.posterior(10.0, seen, 3.0)
        misses.append((truth - known.mean) / known.deviation)
    assert fmean(miss**2 for miss in misses) == pytest.approx(1.0, abs=0.08)


def test_draws_scatter_by_the_doubt() -> None:
    """Around the mean."""
    random = Random(1)
    draws = [Estimate(10.0, 2.0).draw(random) for _ in range(4000)]
    assert (fmean(draws), stdev(draws)) == pytest.approx((10.0, 2.0), abs=0.1)


@pytest.mark.parametrize(("mean", "is_more"), [(13.0, True), (12.9, False)])
def test_more_is_by_a_margin_and_beyond_doubt(mean: float, is_more: bool) -> None:
    """10 and its margin of a quarter are 12.5; doubts of 0.03 and 0.04 are 0.05 together, nine of them 0.45."""
    assert Estimate(mean, 0.04).exceeds(Estimate(10.0, 0.03), margin=0.25, doubts=9.0) is is_more


def test_a_factor_scales_the_doubt_too() -> None:
    """Tokens a step with a doubt, times steps a second."""
    assert Estimate(3.0, 0.5).scaled(4.0) == Estimate(12.0, 2.0)
