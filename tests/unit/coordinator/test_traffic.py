"""Which sessions are taken for alike."""

from __future__ import annotations

from draftmesh.coordinator.learning.traffic import temperature_band


def test_bands_tell_greedy_from_sampled() -> None:
    """Temperature 0 is a band of its own, and hot texts are not judged by cool ones."""
    assert [temperature_band(temperature) for temperature in (0.0, 0.3, 0.7, 1.0, 1.5)] == [0, 1, 2, 3, 4]
