"""A mean that follows what it measures."""

from __future__ import annotations


class MovingAverage:
    """An exponentially weighted mean that starts as the plain mean of its first values."""

    __slots__ = ("_weight", "count", "value")

    def __init__(self, weight: float) -> None:
        """Of nothing yet, which is 0; ``weight``: of the newest value once it has settled, in (0, 1]."""
        self._weight = weight
        self.count = 0
        self.value = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.count += 1
        self.value += max(self._weight, 1.0 / self.count) * (value - self.value)
