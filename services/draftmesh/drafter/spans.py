"""Traces of drafting: one span from each commit until the draft pauses or the next commit comes."""

from __future__ import annotations

from opentelemetry.trace import Span, Tracer

from draftmesh.core.draft import Block
from draftmesh.telemetry import tracing


class DraftSpans:
    """The spans of one session's stream."""

    def __init__(self, session_id: str, drafter: str, tracer: Tracer) -> None:
        """Name what every span is about, and where it goes."""
        self._tracer = tracer
        self._attributes = {tracing.SESSION_ID: session_id, tracing.DRAFTER: drafter}
        self._span: Span | None = None
        self._drafted_tokens = 0

    def begin(self, traceparent: str) -> None:
        """Drafting goes on under the round that ``traceparent`` names."""
        self.end()
        context = tracing.context_of(traceparent)
        self._span = self._tracer.start_span(tracing.SPAN_DRAFT, context, attributes=self._attributes)

    def count(self, block: Block) -> None:
        """A block goes out."""
        self._drafted_tokens += len(block.items)
        if block.paused:
            self.end()

    def end(self) -> None:
        """Nothing more is drafted for now."""
        if self._span is not None:
            self._span.set_attribute(tracing.DRAFTED_TOKENS, self._drafted_tokens)
            self._span.end()
        self._span, self._drafted_tokens = None, 0
