"""Metrics of engine steps, gathered from the sessions that shared them."""

from __future__ import annotations

from draftmesh.engine.stats import StepReport
from draftmesh.telemetry.metrics import VerifierMetrics


class StepMetrics:
    """Counts each step once, however many sessions report it. Called on the engine's thread alone."""

    def __init__(self, metrics: VerifierMetrics) -> None:
        self._metrics = metrics
        self._last: StepReport | None = None

    def record(self, step: StepReport) -> None:
        """Count a step that a session took part in."""
        if step is self._last:
            return
        self._last = step
        self._metrics.batch_sequences.record(step.sequences)
        self._metrics.step_duration.record(step.milliseconds / 1000)
