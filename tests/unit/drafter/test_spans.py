"""The spans of drafting."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from draftmesh.core.draft import Block
from draftmesh.core.text import TextPrefix
from draftmesh.drafter.spans import DraftSpans
from draftmesh.telemetry import tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Keeps finished spans."""
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> DraftSpans:
    """The spans of a session."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return DraftSpans("session", "drafter", provider.get_tracer("test"))


def block(*items: bytes, paused: bool = False) -> Block:
    """A block with these draft tokens."""
    return Block(0, TextPrefix(), items, paused=paused)


def test_span_lies_under_the_round(spans: DraftSpans, exporter: InMemorySpanExporter) -> None:
    """A span belongs to the round whose commit began it, and says what was drafted when the draft pauses."""
    spans.begin(TRACEPARENT)
    spans.count(block(b"a", b"b"))
    spans.count(block(b"c", paused=True))
    (span,) = exporter.get_finished_spans()
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert (span.name, dict(span.attributes or {})) == (
        tracing.SPAN_DRAFT,
        {tracing.SESSION_ID: "session", tracing.DRAFTER: "drafter", tracing.DRAFTED_TOKENS: 3},
    )


def test_next_commit_ends_the_span(spans: DraftSpans, exporter: InMemorySpanExporter) -> None:
    """A commit in mid-draft ends one span and begins the next, which counts anew."""
    spans.begin(TRACEPARENT)
    spans.count(block(b"a"))
    spans.begin(TRACEPARENT)
    spans.count(block(b"b", b"c"))
    spans.end()
    spans.end()
    counted = [(span.attributes or {})[tracing.DRAFTED_TOKENS] for span in exporter.get_finished_spans()]
    assert counted == [1, 2]
