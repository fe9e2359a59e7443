"""How two rows compare that have done the same tasks, in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from draftmesh.bench.peers.contestant import Served


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the spread of some figures."""

    median: float
    lower_quartile: float
    upper_quartile: float
    least: float
    most: float
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value; the quartiles are interpolated."""
    low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
    return Spread(middle, low, high, min(values), max(values), len(values))


def speeds(served: Sequence[Served]) -> Spread:
    """Tokens per second of each generation."""
    return spread([one.tokens_per_second for one in served])


def paired_ratio(served: Sequence[Served], others: Sequence[Served]) -> Spread:
    """Above 1 where ``served`` is faster: speeds compared task by task, so that an easy prompt counts for neither."""
    pairs = zip(served, others, strict=True)
    return spread([one.tokens_per_second / other.tokens_per_second for one, other in pairs])
