"""What traces and metrics say of a session's rounds."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from draftmesh.core.evidence import Evidence, PsiEvidence
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.verify import VerifyOpen, VerifyRound
from draftmesh.telemetry.metrics import VerifierMetrics
from draftmesh.verifier.round_telemetry import RoundTelemetry
from tests.helpers.fakes_verifier import RoundBench, round_bench

TRACE_ID, PARENT_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = f"00-{TRACE_ID:032x}-{PARENT_ID:016x}-01"
OPENED = VerifyOpen("s", Fence(), (1,), (), SamplingParams(), StopConditions(), NoiseKey(bytes(16)), Method.EXACT)


class Telling:
    """Tells a fake session's rounds to a telemetry that writes into memory."""

    def __init__(self) -> None:
        self.bench: RoundBench = round_bench(step_ms=20.0)
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        metrics = VerifierMetrics.create(MeterProvider([self._reader]).get_meter("test"))
        self.telemetry = RoundTelemetry(OPENED, metrics, provider.get_tracer("test"))

    def ask(
        self, base: int, draft: tuple[int, ...] = (), free_run: int = 0, evidence: Evidence | None = None
    ) -> VerifyRound:
        """One round to its end."""
        number = self.bench.next_round
        self.telemetry.asked(VerifyRound(number, self.bench.prefix(base), draft, evidence, free_run), TRACEPARENT)
        request = self.bench.send(base, draft, free_run, evidence)
        self.bench.run_out()
        self.tell()
        return request

    def tell(self) -> None:
        """Pass on what was emitted."""
        for verdict in self.bench.take():
            self.telemetry.said(verdict)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Finished spans."""
        return self._exporter.get_finished_spans()

    @property
    def totals(self) -> Mapping[str, float]:
        """Counters' values and histograms' counts, by name without the prefix."""
        data = self._reader.get_metrics_data()
        assert data is not None
        found: dict[str, float] = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            (point,) = metric.data.data_points
            value = point.value if isinstance(point, NumberDataPoint) else point.count
            found[metric.name.removeprefix("draftmesh.")] = value
        return found


def test_span_belongs_to_the_trace_of_the_message() -> None:
    """The parent of a round's span is the one that the message named."""
    telling = Telling()
    telling.ask(0)
    (span,) = telling.spans
    assert span.parent is not None
    assert (span.name, span.parent.trace_id, span.parent.span_id) == ("draftmesh.verify", TRACE_ID, PARENT_ID)


def test_span_tells_what_became_of_the_round() -> None:
    """Tokens of all verdicts add up on the span."""
    telling = Telling()
    telling.ask(0, telling.bench.draft(0, right=2, wrong=1), free_run=4)
    (span,) = telling.spans
    assert span.attributes is not None
    assert dict(span.attributes) == {
        "draftmesh.session_id": "s",
        "draftmesh.method": "exact",
        "draftmesh.round": 1,
        "draftmesh.drafted_tokens": 3,
        "draftmesh.accepted_tokens": 2,
        "draftmesh.committed_tokens": 7,
        "draftmesh.stale": False,
        "draftmesh.batch_sequences": 1,
        "draftmesh.batch_rows": 1,
    }


def test_metrics_tell_drafts_from_free_runs() -> None:
    """Judged tokens, accepted tokens and freely decoded ones are counted apart."""
    telling = Telling()
    telling.ask(0, telling.bench.draft(0, right=2, wrong=1), free_run=4)
    telling.ask(7, free_run=5)
    telling.ask(0, (4, 4))
    assert telling.totals == {
        "rounds": 2,
        "stale_rounds": 1,
        "drafted_tokens": 3,
        "accepted_tokens": 2,
        "free_run_tokens": 4 + 5,
        "verify_wait": 2,
    }


def test_draft_tokens_that_were_committed_meanwhile_are_not_drafted() -> None:
    """Skipped tokens of a draft count neither as drafted nor as accepted."""
    telling = Telling()
    telling.ask(0, free_run=3)
    telling.ask(1, telling.bench.draft(1, right=4))
    assert (telling.totals["drafted_tokens"], telling.totals["accepted_tokens"]) == (2, 2)


def test_repeated_round_is_counted_once() -> None:
    """Asking for a stored verdict again changes no number and opens no span."""
    telling = Telling()
    request = telling.ask(0, telling.bench.draft(0, right=2))
    before = telling.totals
    telling.telemetry.asked(request, TRACEPARENT)
    telling.bench.rounds.receive(request, 0.0)
    telling.tell()
    telling.telemetry.close()
    assert (telling.totals, len(telling.spans)) == (before, 1)


def test_span_of_an_unanswered_round_ends_with_the_session() -> None:
    """A session that goes away leaves no span open."""
    telling = Telling()
    telling.telemetry.asked(VerifyRound(1, telling.bench.prefix(0)), TRACEPARENT)
    telling.telemetry.close()
    assert len(telling.spans) == 1


def test_missing_proposal_is_no_free_run() -> None:
    """A block that translates to nothing was judged; its recovered token was not decoded freely."""
    telling = Telling()
    telling.ask(0, evidence=PsiEvidence((), missing_next=True))
    assert "free_run_tokens" not in telling.totals
    assert telling.spans[0].attributes is not None
    assert telling.spans[0].attributes["draftmesh.committed_tokens"] == 1
