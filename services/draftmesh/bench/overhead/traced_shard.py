"""A coordinator shard that keeps its spans and writes them to a file when it ends.

A daemon like any other, which a plan names as its replica's entry. Every span is sampled, and what that costs counts as
the coordinator's time; so they are kept as they are until the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from draftmesh.bench.overhead.spans import RecordedSpan, span_line
from draftmesh.coordinator import app as coordinator
from draftmesh.coordinator.config import CoordinatorConfig

ENTRY = f"{__name__}:running"
"""For a replica's specification."""


@dataclass(frozen=True, slots=True)
class TracedShardConfig(CoordinatorConfig):
    """A shard and its file."""

    spans_path: Path = Path("spans.jsonl")
    """One line a span, in the order in which they ended."""


class _KeptSpans(SpanProcessor):
    """Keeps spans that have ended."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """See the base class."""
        self.spans.append(span)


@asynccontextmanager
async def running(config: TracedShardConfig) -> AsyncIterator[coordinator.Running]:
    """A shard for as long as the context lasts; leaving it drains, then writes. For a process of its own.

    Raises:
        ConfigError: it cannot serve with this configuration.
    """
    kept, provider = _KeptSpans(), TracerProvider()
    provider.add_span_processor(kept)
    trace.set_tracer_provider(provider)
    async with coordinator.running(config) as shard:
        yield shard
    config.spans_path.write_text("".join(map(span_line, _recorded(kept.spans))))


def _recorded(spans: Iterable[ReadableSpan]) -> Iterable[RecordedSpan]:
    for span in spans:
        context = span.get_span_context()
        assert context is not None, "it was started by a tracer"
        attributes = {key: value for key, value in (span.attributes or {}).items() if isinstance(value, int | float)}
        yield RecordedSpan(
            name=span.name,
            span_id=context.span_id,
            parent_id=span.parent.span_id if span.parent is not None else None,
            start_ns=span.start_time or 0,
            end_ns=span.end_time or 0,
            attributes=attributes,
        )
