"""Metrics of engine steps, gathered from the sequences that shared them."""

from __future__ import annotations

from opentelemetry.metrics import Histogram

from draftmesh.engine.stats import StepReport


class StepRecorder:
    """Measures each engine step once, though every sequence in it hears of it. Called on the engine's thread alone."""

    def __init__(self, batch_sequences: Histogram, step_duration: Histogram) -> None:
        """Record into these: sequences, and seconds."""
        self._batch_sequences = batch_sequences
        self._step_duration = step_duration
        self._last: StepReport | None = None

    def record(self, step: StepReport) -> None:
        """Hear of a step from one of its sequences."""
        if step is self._last:
            return
        self._last = step
        self._batch_sequences.record(step.sequences)
        self._step_duration.record(step.milliseconds / 1000)
