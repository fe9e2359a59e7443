"""What the spans of a round say of its time."""

from __future__ import annotations

import time

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from draftmesh.coordinator.round_trace import RoundTrace
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, RoundTimings, Verdict, VerifyRound

BASE = TokenPrefix()
ROUND = VerifyRound(1, BASE, (3, 4))
MS = 1_000_000


class Scene:
    """A trace, the spans that it has ended, and the time that it sees."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.trace = RoundTrace(provider.get_tracer("test"))
        self.now_ms = 1000
        patch.setattr(time, "time_ns", lambda: self.now_ms * MS)

    def span(self, name: str) -> ReadableSpan:
        """The ended span of that name."""
        return next(span for span in self._exporter.get_finished_spans() if span.name == f"draftmesh.{name}")

    def milliseconds(self, name: str) -> tuple[int, int]:
        """When it began and ended."""
        span = self.span(name)
        assert span.start_time is not None
        assert span.end_time is not None
        return span.start_time // MS, span.end_time // MS


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Nothing has happened."""
    return Scene(monkeypatch)


def send(scene: Scene, *, woke_ms: int, asked_ms: int, waited_ms: float) -> None:
    """A loop wakes and sends a round, which takes a millisecond."""
    scene.now_ms = woke_ms
    scene.trace.wake()
    scene.now_ms = asked_ms
    with scene.trace.asking(ROUND, waited_ms):
        scene.now_ms += 1


def test_what_the_loop_does_before_it_sends_is_no_waiting(scene: Scene) -> None:
    """The wait for a draft ends when the loop wakes; sending has a span of its own."""
    send(scene, woke_ms=1040, asked_ms=1043, waited_ms=40.0)
    assert scene.milliseconds("draft_wait") == (1003, 1040)
    assert scene.milliseconds("send") == (1043, 1044)


def test_a_draft_that_was_there_was_not_waited_for(scene: Scene) -> None:
    """When the loop heard the verdict and sent the next round in one go."""
    send(scene, woke_ms=1040, asked_ms=1043, waited_ms=2.0)
    assert scene.milliseconds("draft_wait") == (1041, 1041)


def test_a_round_knows_what_the_verifier_said_of_its_time(scene: Scene) -> None:
    """And what is made of the verdict is a child of the round, though it has ended."""
    send(scene, woke_ms=1000, asked_ms=1000, waited_ms=0.0)
    timings = RoundTimings(queue_ms=0.5, compute_ms=9.0, forward_ms=7.5)
    scene.trace.heard(Verdict(1, RoundStatus.DONE, BASE, accepted=1, tokens=(3, 9), timings=timings))
    with scene.trace.settling():
        scene.now_ms += 2
    heard = scene.span("round")
    attributes = heard.attributes or {}
    measured = [attributes[f"draftmesh.{name}_ms"] for name in ("queue", "compute", "forward")]
    assert measured == [0.5, 9.0, 7.5]
    parent, context = scene.span("settle").parent, heard.get_span_context()
    assert parent is not None
    assert context is not None
    assert parent.span_id == context.span_id
