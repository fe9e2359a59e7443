"""Medians, and how far the values around them lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """What many values of one thing look like."""

    median: float
    lower_quartile: float
    upper_quartile: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        low, middle, high = (quantile(values, share) for share in (0.25, 0.5, 0.75))
        return cls(middle, low, high, min(values), max(values), len(values))

    @property
    def half_range(self) -> float:
        """Of the middle half of the values: the length of an error bar."""
        return (self.upper_quartile - self.lower_quartile) / 2

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lower_quartile:.2f}–{self.upper_quartile:.2f})"


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The tail of a duration, in one unit."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Percentiles:
        """Of at least one value."""
        return cls(quantile(values, 0.5), quantile(values, 0.95), quantile(values, 0.99))


def quantile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of at least one value lie below, between neighbours by their distance.

    Hyndman and Fan, Sample Quantiles in Statistical Packages (1996), definition 7, which is numpy's default.
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
