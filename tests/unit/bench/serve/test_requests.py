"""The requests of a load, and when they arrive."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean

import pytest
from scipy import stats

from draftmesh.bench.serve.requests import mixed_requests, poisson_arrivals


def test_a_load_is_the_same_for_the_same_seed() -> None:
    """Prompts take turns, lengths keep within their bounds and differ."""
    found = mixed_requests(("a", "b"), 40, least_tokens=8, most_tokens=24, seed=3)
    assert found == mixed_requests(("a", "b"), 40, least_tokens=8, most_tokens=24, seed=3)
    assert [request.prompt for request in found[:4]] == ["a", "b", "a", "b"]
    assert {request.seed for request in found} == set(range(3, 43))
    lengths = {request.max_tokens for request in found}
    assert min(lengths) >= 8 < len(lengths) <= 17 < max(lengths) <= 24


def test_a_shorter_load_is_the_beginning_of_a_longer_one() -> None:
    """So levels of different size have requests in common."""
    short, long = (mixed_requests(("a",), count, least_tokens=1, most_tokens=9, seed=3) for count in (5, 9))
    assert long[:5] == short


def test_arrivals_are_those_of_a_poisson_process() -> None:
    """The gaps follow the exponential law of that rate (Kolmogorov and Smirnov's test)."""
    arrivals_s = poisson_arrivals(4.0, 4000, seed=7)
    gaps_s = [arrivals_s[0], *(later - sooner for sooner, later in pairwise(arrivals_s))]
    assert fmean(gaps_s) == pytest.approx(0.25, rel=0.05)
    assert stats.kstest(gaps_s, stats.expon(scale=0.25).cdf).pvalue > 0.01
    assert arrivals_s == poisson_arrivals(4.0, 4000, seed=7)
    assert arrivals_s != poisson_arrivals(4.0, 4000, seed=8)
