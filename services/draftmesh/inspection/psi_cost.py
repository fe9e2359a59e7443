"""What ψ costs (method ``slrs``), read from the drafter's own counters, which run in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric, NumberDataPoint

from draftmesh.telemetry.metrics import PSI, PSI_ROWS


@dataclass(frozen=True, slots=True)
class PsiCost:
    """The cost of ψ while some tokens were committed."""

    per_committed_token: float
    """Values of ψ that the drafter reported, for its blocks and for the verifier's questions."""

    rows_per_psi: float
    """Rows of the drafter's engine that were run for ψ alone."""


@dataclass(frozen=True, slots=True)
class PsiCount:
    """The drafters' counters, or a difference of them."""

    values: int = 0
    rows: int = 0

    def plus(self, other: PsiCount) -> PsiCount:
        """The sums."""
        return PsiCount(self.values + other.values, self.rows + other.rows)

    def minus(self, before: PsiCount) -> PsiCount:
        """What has been counted since ``before``."""
        return PsiCount(self.values - before.values, self.rows - before.rows)

    def cost(self, committed_tokens: int) -> PsiCost | None:
        """What ψ cost while so many tokens were committed; None when nobody asked for it."""
        return PsiCost(self.values / max(1, committed_tokens), self.rows / self.values) if self.values else None


class PsiMeter:
    """Reads the counters of every drafter that is made in this process from now on."""

    def __init__(self, reader: InMemoryMetricReader) -> None:
        """Read what ``reader`` collects."""
        self._reader = reader

    @classmethod
    def install(cls) -> PsiMeter:
        """Make this process keep its counters; to be called before any drafter is made, and once."""
        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([reader]))
        return cls(reader)

    def read(self) -> PsiCount:
        """The counters now."""
        totals = {PSI: 0, PSI_ROWS: 0}
        for metric in self._metrics():
            if metric.name in totals:
                points = (point for point in metric.data.data_points if isinstance(point, NumberDataPoint))
                totals[metric.name] += sum(int(point.value) for point in points)
        return PsiCount(totals[PSI], totals[PSI_ROWS])

    def _metrics(self) -> Iterator[Metric]:
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                yield from scope.metrics
