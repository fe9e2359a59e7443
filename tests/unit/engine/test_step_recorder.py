"""What metrics say of engine steps."""

from __future__ import annotations

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader

from draftmesh.engine.stats import StepReport
from draftmesh.engine.step_recorder import StepRecorder
from draftmesh.telemetry.metrics import VerifierMetrics


def recorded(*steps: StepReport) -> dict[str, tuple[int, float]]:
    """Count and sum of each histogram after a recorder has heard of ``steps``, by name without the prefix."""
    reader = InMemoryMetricReader()
    metrics = VerifierMetrics.create(MeterProvider([reader], shutdown_on_exit=False).get_meter("test"))
    recorder = StepRecorder(metrics.batch_sequences, metrics.step_duration)
    for step in steps:
        recorder.record(step)
    data = reader.get_metrics_data()
    assert data is not None
    found = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        point = next(iter(metric.data.data_points))
        assert isinstance(point, HistogramDataPoint)
        found[metric.name.rpartition(".")[2]] = (point.count, point.sum)
    return found


def test_step_is_measured_once() -> None:
    """Two sequences that shared a step tell of it twice; it is one step."""
    step = StepReport(5, 2, 1500.0, 0.0)
    assert recorded(step, step) == {"batch_sequences": (1, 2), "step_duration": (1, 1.5)}


def test_steps_that_look_alike_are_two() -> None:
    """What tells steps apart is not their numbers: a coarse clock may start two at the same time."""
    steps = StepReport(5, 2, 1500.0, 0.0), StepReport(5, 2, 1500.0, 0.0)
    assert recorded(*steps) == {"batch_sequences": (2, 4), "step_duration": (2, 3.0)}
