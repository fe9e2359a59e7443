"""What sessions are told apart by when something is learned from them."""

from __future__ import annotations

from bisect import bisect_left

_TEMPERATURES = (0.0, 0.5, 0.9, 1.2)
"""Upper ends of the bands of temperature; above is one more."""


def temperature_band(temperature: float) -> int:
    """The band of a temperature; 0 is greedy."""
    return bisect_left(_TEMPERATURES, temperature)
