"""Spans of a session's rounds: one for each round, from the wait for its draft to its last verdict.

The verifier opens its own span under the round's, whose context travels with the round. Children made here: the wait
for a draft, the translation, the sending, the settling of what a verdict says, and the commit (persisting and
delivering it). What is between the wait and the sending, less the translation, is the loop's own time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import Span, Tracer, set_span_in_context, use_span

from draftmesh.core.verify import RoundStatus, Verdict, VerifyRound
from draftmesh.telemetry import tracing

SPAN_DRAFT_WAIT = "draftmesh.draft_wait"
"""The verifier idle, the session waiting for a draft."""


class RoundTrace:
    """The open spans of one session's rounds."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._open: dict[int, Span] = {}
        self._last: Span | None = None
        self._woke_ns = 0
        self._translations: list[tuple[int, int]] = []  # start and end since the last round, ns since the epoch

    def wake(self) -> None:
        """The loop goes on: what it does from now until a round goes out is no waiting."""
        self._woke_ns = time.time_ns()

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Times a translation; it belongs to the next round."""
        start_ns = time.time_ns()
        yield
        self._translations = [(start_ns, time.time_ns())]  # earlier ones came to nothing

    @contextmanager
    def asking(self, request: VerifyRound, waited_ms: float) -> Iterator[None]:
        """Opens a round's span and makes it current while the round is sent; its children are told of afterwards."""
        now_ns = time.time_ns()
        start_ns = now_ns - int(waited_ms * 1e6)
        attributes = {
            tracing.ROUND: request.round,
            tracing.DRAFTED_TOKENS: len(request.draft_ids),
            tracing.FREE_RUN_STEPS: request.free_run,
        }
        span = self._tracer.start_span(tracing.SPAN_ROUND, attributes=attributes, start_time=start_ns)
        self._open[request.round] = span
        translations, self._translations = self._translations, []
        with use_span(span):
            yield
        sent_ns = time.time_ns()
        self._child(span, SPAN_DRAFT_WAIT, start_ns, max(start_ns, min(self._woke_ns, now_ns)))
        for start, end in translations:
            self._child(span, tracing.SPAN_TRANSLATE, start, end)
        self._child(span, tracing.SPAN_SEND, now_ns, sent_ns)

    def heard(self, verdict: Verdict) -> None:
        """Ends the span of a round that has had its last verdict."""
        span = self._open.get(verdict.round)
        if span is None:
            return
        stale = verdict.status is RoundStatus.STALE
        if not stale:
            self._last = span
        span.set_attributes(
            {
                tracing.ACCEPTED_TOKENS: verdict.accepted,
                tracing.COMMITTED_TOKENS: len(verdict.tokens),
                tracing.STALE: stale,
                tracing.QUEUE_MS: verdict.timings.queue_ms,
                tracing.COMPUTE_MS: verdict.timings.compute_ms,
                tracing.FORWARD_MS: verdict.timings.forward_ms,
            }
        )
        if verdict.final or stale:
            span.end()
            del self._open[verdict.round]

    @contextmanager
    def settling(self) -> Iterator[None]:
        """A span around what is made of the verdict that was heard last."""
        with self._after_verdict(tracing.SPAN_SETTLE):
            yield

    @contextmanager
    def committing(self) -> Iterator[None]:
        """A span around what follows a verdict."""
        with self._after_verdict(tracing.SPAN_COMMIT):
            yield

    def close(self) -> None:
        """The stream has ended: no round will be answered any more."""
        for span in self._open.values():
            span.end()
        self._open.clear()

    @contextmanager
    def _after_verdict(self, name: str) -> Iterator[None]:
        context = set_span_in_context(self._last) if self._last is not None else None
        with self._tracer.start_as_current_span(name, context=context):
            yield

    def _child(self, parent: Span, name: str, start_ns: int, end_ns: int) -> None:
        context = set_span_in_context(parent)
        self._tracer.start_span(name, context=context, start_time=start_ns).end(end_ns)
