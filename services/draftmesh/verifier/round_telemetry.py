"""Traces and metrics of one session's rounds, told from the messages that go in and out."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.trace import Span, Tracer

from draftmesh.core.verify import RoundStatus, Verdict, VerifyOpen, VerifyRound
from draftmesh.telemetry import tracing
from draftmesh.telemetry.metrics import VerifierMetrics
from draftmesh.verifier.placement import proposes


@dataclass(slots=True)
class _OpenRound:
    request: VerifyRound
    span: Span
    end: int = 0
    """Committed tokens after the newest verdict; an earlier one is a repetition."""

    committed_tokens: int = 0
    accepted_tokens: int = 0

    @property
    def judged(self) -> bool:
        """Whether the verdict on the draft is there: what comes after it was decoded freely."""
        return self.committed_tokens > 0 or not proposes(self.request)


class RoundTelemetry:
    """One span for each round, from its arrival to its final verdict, and the counters of all rounds."""

    def __init__(self, opened: VerifyOpen, metrics: VerifierMetrics, tracer: Tracer) -> None:
        self._session_id = opened.session_id
        self._method = opened.method.label
        self._metrics = metrics
        self._tracer = tracer
        self._open: dict[int, _OpenRound] = {}
        self._newest = 0

    def asked(self, request: VerifyRound, traceparent: str) -> None:
        """A round has arrived; a repeated one has had its span."""
        if request.round <= self._newest:
            return
        self._newest = request.round
        span = self._tracer.start_span(
            tracing.SPAN_VERIFY,
            context=tracing.context_of(traceparent),
            attributes={
                tracing.SESSION_ID: self._session_id,
                tracing.METHOD: self._method,
                tracing.ROUND: request.round,
                tracing.DRAFTED_TOKENS: len(request.draft_ids),
            },
        )
        self._open[request.round] = _OpenRound(request, span)

    def said(self, verdict: Verdict) -> None:
        """A verdict goes out; a repeated one has been counted."""
        entry = self._open.get(verdict.round)
        if entry is None or verdict.base.length < entry.end:
            return
        if verdict.status is RoundStatus.DONE:
            self._count(entry, verdict)
        if verdict.final:
            self._finish(entry, verdict)

    def close(self) -> None:
        """The session is over: rounds without a final verdict end here."""
        for entry in self._open.values():
            entry.span.end()
        self._open.clear()

    def _count(self, entry: _OpenRound, verdict: Verdict) -> None:
        metrics, tokens = self._metrics, len(verdict.tokens)
        if entry.judged:
            metrics.free_run_tokens.add(tokens)
        else:
            skipped = verdict.base.length - entry.request.base.length
            metrics.drafted_tokens.add(len(entry.request.draft_ids) - skipped)
            metrics.accepted_tokens.add(verdict.accepted)
        if entry.committed_tokens == 0:
            metrics.verify_wait.record(verdict.timings.queue_ms / 1000)
        entry.end = verdict.base.length + tokens
        entry.committed_tokens += tokens
        entry.accepted_tokens += verdict.accepted

    def _finish(self, entry: _OpenRound, verdict: Verdict) -> None:
        stale = verdict.status is RoundStatus.STALE
        counter = self._metrics.stale_rounds if stale else self._metrics.rounds
        counter.add(1)
        entry.span.set_attributes(
            {
                tracing.STALE: stale,
                tracing.ACCEPTED_TOKENS: entry.accepted_tokens,
                tracing.COMMITTED_TOKENS: entry.committed_tokens,
                tracing.BATCH_SEQUENCES: verdict.batch_sequences,
                tracing.BATCH_ROWS: verdict.batch_rows,
            }
        )
        entry.span.end()
        del self._open[verdict.round]
