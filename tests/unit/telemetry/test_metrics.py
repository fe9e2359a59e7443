"""Names and units of all instruments: dashboards and autoscalers depend on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest
from opentelemetry.metrics import Counter, Histogram, Meter, UpDownCounter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from draftmesh.telemetry.metrics import (
    FIRST_TOKEN_BUCKETS_S,
    OUTPUT_TOKEN_BUCKETS_S,
    POSITION,
    REQUEST_BUCKETS_S,
    CoordinatorMetrics,
    DrafterMetrics,
    RpcMetrics,
    VerifierMetrics,
    position_attribute,
)

Group = RpcMetrics | DrafterMetrics | VerifierMetrics | CoordinatorMetrics


def exported(create: Callable[[Meter], Group]) -> dict[str, tuple[str, tuple[float, ...]]]:
    """Name to unit and buckets of every instrument of a group, as an exporter sees them after one use of each."""
    reader = InMemoryMetricReader()
    group = create(MeterProvider([reader], shutdown_on_exit=False).get_meter("test"))
    for field in fields(group):
        use(getattr(group, field.name))
    data = reader.get_metrics_data()
    assert data is not None
    found = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        point = next(iter(metric.data.data_points))
        found[metric.name] = (metric.unit or "", tuple(getattr(point, "explicit_bounds", ())))
    return found


def use(instrument: object) -> None:
    """Record one value."""
    match instrument:
        case Counter() | UpDownCounter():
            instrument.add(1)
        case Histogram():
            instrument.record(1)
        case _:
            raise TypeError(type(instrument))


def units(create: Callable[[Meter], Group]) -> dict[str, str]:
    """Name to unit."""
    return {name: unit for name, (unit, _) in exported(create).items()}


def test_a_servers_instruments() -> None:
    """The stable name of the RPC conventions."""
    assert units(RpcMetrics.create) == {"rpc.server.call.duration": "s"}


def test_a_drafters_instruments() -> None:
    """Names and units."""
    assert units(DrafterMetrics.create) == {
        "draftmesh.sessions_active": "{session}",
        "draftmesh.drafted_tokens": "{token}",
        "draftmesh.wasted_bytes": "By",
        "draftmesh.drafter.psi": "{sequence}",
        "draftmesh.drafter.psi_rows": "{row}",
        "draftmesh.drafter.draft_rows": "{row}",
        "draftmesh.batch_sequences": "{sequence}",
        "draftmesh.step_duration": "s",
    }


def test_a_verifiers_instruments() -> None:
    """Names and units."""
    assert units(VerifierMetrics.create) == {
        "draftmesh.sessions_active": "{session}",
        "draftmesh.rounds": "{round}",
        "draftmesh.stale_rounds": "{round}",
        "draftmesh.drafted_tokens": "{token}",
        "draftmesh.accepted_tokens": "{token}",
        "draftmesh.free_run_tokens": "{token}",
        "draftmesh.verify_wait": "s",
        "draftmesh.batch_sequences": "{sequence}",
        "draftmesh.step_duration": "s",
    }


def test_a_coordinators_instruments() -> None:
    """Names and units."""
    assert units(CoordinatorMetrics.create) == {
        "draftmesh.sessions_active": "{session}",
        "draftmesh.sessions_without_drafter": "{session}",
        "draftmesh.rounds": "{round}",
        "draftmesh.stale_rounds": "{round}",
        "draftmesh.drafted_tokens": "{token}",
        "draftmesh.accepted_tokens": "{token}",
        "draftmesh.accepted_tokens_per_position": "{token}",
        "draftmesh.committed_tokens": "{token}",
        "draftmesh.free_run_tokens": "{token}",
        "draftmesh.wasted_bytes": "By",
        "draftmesh.drafter_failures": "{stream}",
        "draftmesh.drafter_moves": "{move}",
        "draftmesh.draft_wait": "s",
        "draftmesh.verify_wait": "s",
        "gen_ai.server.time_to_first_token": "s",
        "gen_ai.server.time_per_output_token": "s",
        "gen_ai.server.request.duration": "s",
    }


@pytest.mark.parametrize(
    ("name", "buckets"),
    [
        ("gen_ai.server.time_to_first_token", FIRST_TOKEN_BUCKETS_S),
        ("gen_ai.server.time_per_output_token", OUTPUT_TOKEN_BUCKETS_S),
        ("gen_ai.server.request.duration", REQUEST_BUCKETS_S),
    ],
)
def test_buckets_of_the_genai_conventions(name: str, buckets: tuple[float, ...]) -> None:
    """The advised boundaries reach the exporter."""
    assert exported(CoordinatorMetrics.create)[name] == ("s", buckets)


@pytest.mark.parametrize("buckets", [FIRST_TOKEN_BUCKETS_S, OUTPUT_TOKEN_BUCKETS_S, REQUEST_BUCKETS_S])
def test_buckets_ascend(buckets: tuple[float, ...]) -> None:
    """As histograms need."""
    assert sorted(set(buckets)) == list(buckets)


@pytest.mark.parametrize(("position", "label"), [(0, 0), (31, 31), (32, 31), (1000, 31)])
def test_positions_are_bounded(position: int, label: int) -> None:
    """A long draft does not make a series a position."""
    assert position_attribute(position) == {POSITION: label}


def test_all_groups_share_one_provider_without_conflicts() -> None:
    """Daemons that run in one process define shared instruments alike (a conflict would warn, and warnings fail)."""
    meter = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False).get_meter("test")
    groups = [create(meter) for create in (DrafterMetrics.create, VerifierMetrics.create, CoordinatorMetrics.create)]
    assert len(groups) == 3
