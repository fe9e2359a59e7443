"""From the spans of a round to its stages."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from draftmesh.bench.overhead.result import STAGES, level_of
from draftmesh.bench.overhead.spans import RecordedSpan, RoundStages, read_spans, round_stages, span_line

MS = 1_000_000
TIMINGS = {"draftmesh.queue_ms": 0.5, "draftmesh.compute_ms": 8.0, "draftmesh.forward_ms": 7.0}


def span(name: str, start_ms: float, end_ms: float, *, id: int = 2, parent: int | None = 1) -> RecordedSpan:
    """A span of the round with id 1."""
    return RecordedSpan(f"draftmesh.{name}", id, parent, round(start_ms * MS), round(end_ms * MS), {})


def round_span(start_ms: float, end_ms: float, **attributes: float) -> RecordedSpan:
    """A round that judged four draft tokens, unless ``attributes`` say otherwise."""
    found = {"draftmesh.drafted_tokens": 4, "draftmesh.free_run_steps": 0, "draftmesh.stale": False, **TIMINGS}
    found |= {f"draftmesh.{name}": value for name, value in attributes.items()}
    return RecordedSpan("draftmesh.round", 1, None, round(start_ms * MS), round(end_ms * MS), found)


CHILDREN = [
    span("draft_wait", 100, 130),
    span("translate", 130.2, 130.6),
    span("send", 131, 131.5),
    span("settle", 141, 141.25),
    span("commit", 141.5, 141.75),
]


def stages(*spans: RecordedSpan, since_ms: float = 0.0, until_ms: float = 1e6) -> list[RoundStages]:
    """Of these spans."""
    return round_stages(spans, since_ns=round(since_ms * MS), until_ns=round(until_ms * MS))


def test_the_stages_of_a_round_are_all_of_its_time() -> None:
    """What no stage has a span for is the loop's deciding before the sending, and the wire after it."""
    (found,) = stages(*CHILDREN, round_span(100, 141))
    expected = {
        "draft_wait": 30.0,
        "decide": 0.6,
        "translate": 0.4,
        "send": 0.5,
        "wire": 1.0,
        "queue": 0.5,
        "forward": 7.0,
        "judge": 1.0,
        "settle": 0.25,
        "deliver": 0.25,
    }
    assert {name: getattr(found, name) for name in STAGES} == pytest.approx(expected)
    critical = sum(expected.values()) - expected["deliver"]
    assert critical == pytest.approx(141 - 100 + 0.25)
    assert found.overhead == pytest.approx(critical - expected["draft_wait"] - expected["forward"])
    assert found.own == pytest.approx(found.overhead - expected["queue"])


def test_a_translation_within_the_wait_cost_the_round_nothing() -> None:
    """The loop had translated what there was, and gone back to waiting."""
    early = [span("translate", 120, 121) if child.name.endswith("translate") else child for child in CHILDREN]
    (found,) = stages(*early, round_span(100, 141))
    assert (found.translate, found.decide) == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize(
    "attributes", [{"drafted_tokens": 0, "free_run_steps": 16}, {"free_run_steps": 16}, {"stale": True}]
)
def test_only_rounds_that_judged_a_draft_and_nothing_else_count(attributes: dict[str, float]) -> None:
    """A free run holds many forwards, and a stale round none."""
    assert stages(*CHILDREN, round_span(100, 141, **attributes)) == []


def test_a_round_that_was_never_answered_does_not_count() -> None:
    """Its session had ended."""
    unanswered = RecordedSpan("draftmesh.round", 1, None, 0, MS, {"draftmesh.drafted_tokens": 4})
    assert stages(*CHILDREN, unanswered) == []


@pytest.mark.parametrize(("since_ms", "until_ms"), [(100.5, 1e6), (0.0, 100.0)])
def test_rounds_before_and_after_the_measurement_do_not_count(since_ms: float, until_ms: float) -> None:
    """Warming up has rounds too."""
    assert stages(*CHILDREN, round_span(100, 141), since_ms=since_ms, until_ms=until_ms) == []


def test_spans_come_back_from_their_file(tmp_path: Path) -> None:
    """All of them, in order."""
    spans = [*CHILDREN, round_span(100, 141)]
    path = tmp_path / "spans.jsonl"
    path.write_text("".join(map(span_line, spans)))
    assert list(read_spans(path)) == spans


def test_a_level_has_percentiles_of_every_stage() -> None:
    """And of their sum, which is not the sum of the percentiles."""
    nothing = RoundStages(**dict.fromkeys((field.name for field in fields(RoundStages)), 0.0))
    rounds = [replace(nothing, wire=wire, queue=queue) for wire, queue in ((1.0, 8.0), (2.0, 4.0), (3.0, 2.0))]
    level = level_of(4, rounds)
    assert (level.streams, level.rounds) == (4, 3)
    assert (level.stages_ms["wire"].p50, level.stages_ms["queue"].p50) == (2.0, 4.0)
    assert (level.overhead_ms.p50, level.own_ms.p50) == (6.0, 2.0)
