"""What a session measures time and itself with."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from opentelemetry.trace import Tracer

from draftmesh.core.protocols import Clock
from draftmesh.telemetry.metrics import CoordinatorMetrics


@dataclass(frozen=True, slots=True)
class Instruments:
    """Shared by the sessions of a shard."""

    clock: Clock
    random: Random
    """For backoff, and for trials of what does not seem to pay."""

    tracer: Tracer
    metrics: CoordinatorMetrics
