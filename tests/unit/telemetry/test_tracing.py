"""Trace contexts across messages."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from draftmesh.telemetry import tracing

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SPAN = NonRecordingSpan(
    SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, is_remote=False, trace_flags=TraceFlags(1))
)


def test_no_span_has_no_traceparent() -> None:
    """Outside any span there is nothing to carry."""
    assert tracing.current_traceparent() == ""


def test_the_current_span_as_a_traceparent() -> None:
    """The string is the W3C one."""
    with use_span(SPAN):
        assert tracing.current_traceparent() == TRACEPARENT


def test_the_current_span_as_metadata() -> None:
    """A call carries it under the W3C key."""
    with use_span(SPAN):
        assert tracing.trace_metadata() == (("traceparent", TRACEPARENT),)


def test_no_span_has_no_metadata() -> None:
    """Outside any span a call carries nothing."""
    assert tracing.trace_metadata() == ()


def test_a_traceparent_names_its_span() -> None:
    """Reading gives what was written."""
    context = tracing.context_of(TRACEPARENT)
    span = trace.get_current_span(context).get_span_context()
    assert (span.trace_id, span.span_id) == (SPAN.get_span_context().trace_id, SPAN.get_span_context().span_id)


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-0-0-01", TRACEPARENT.replace("0af7651916cd", "0" * 40)])
def test_malformed_traceparents_name_nothing(traceparent: str) -> None:
    """A peer's nonsense is no error, and no parent."""
    assert tracing.context_of(traceparent) is None


def test_metadata_without_a_trace_context() -> None:
    """Other metadata is not looked at."""
    assert tracing.context_of_metadata([("user-agent", "x"), ("key-bin", b"traceparent")]) is None


def test_metadata_with_a_trace_context() -> None:
    """The span of the metadata is in the context."""
    context = tracing.context_of_metadata([("traceparent", TRACEPARENT)])
    assert trace.get_current_span(context).get_span_context().trace_id == SPAN.get_span_context().trace_id
