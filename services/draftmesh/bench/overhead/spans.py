"""Spans as they lie in a file, and what a round's spans say of its time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from draftmesh.coordinator.round_trace import SPAN_DRAFT_WAIT
from draftmesh.telemetry import tracing


@dataclass(frozen=True, slots=True)
class RecordedSpan:
    """One span; times are nanoseconds since the epoch."""

    name: str
    span_id: int
    parent_id: int | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, float]
    """Those that are numbers."""

    @property
    def milliseconds(self) -> float:
        """Its duration."""
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True)
class RoundStages:
    """Where the time of one round went, milliseconds. The round begins when the verifier has nothing to do."""

    draft_wait: float
    """Neither overhead nor a forward of the target: the drafter had nothing yet."""

    decide: float
    """The coordinator's loop, from waking to sending, less the translation."""

    translate: float
    send: float
    """Until the transport has taken the round."""

    wire: float
    """From there until the loop hears the verdict, less what the verifier accounts for: both ways, both event loops."""

    queue: float
    """In the verifier, from the round's arrival to its first step: with many streams, other streams' steps."""

    forward: float
    """Of the target: what all this is for."""

    judge: float
    """The rest of the step: scheduling, judging, committing."""

    settle: float
    """What the coordinator makes of the verdict."""

    deliver: float
    """Persisting and publishing, while the verifier works on the next round."""

    @property
    def overhead(self) -> float:
        """All but forward and draft wait, and but for what happens while the verifier works."""
        return self.own + self.queue

    @property
    def own(self) -> float:
        """The same less the queue, which with many streams holds their forwards."""
        return self.decide + self.translate + self.send + self.wire + self.judge + self.settle


def span_line(span: RecordedSpan) -> str:
    """A span as a line of JSON."""
    return json.dumps(asdict(span)) + "\n"


def read_spans(path: Path) -> Iterator[RecordedSpan]:
    """The spans of a file."""
    with path.open() as lines:
        for line in lines:
            yield RecordedSpan(**json.loads(line))


def round_stages(spans: Iterable[RecordedSpan], *, since_ns: int, until_ns: int) -> list[RoundStages]:
    """The stages of the rounds that judged a draft and began within a time; free runs and stale rounds are left out."""
    rounds: list[RecordedSpan] = []
    children: dict[int, list[RecordedSpan]] = defaultdict(list)
    for span in spans:
        if span.name == tracing.SPAN_ROUND and since_ns <= span.start_ns < until_ns:
            rounds.append(span)
        elif span.parent_id is not None:
            children[span.parent_id].append(span)
    return [_stages(span, children[span.span_id]) for span in rounds if _judges(span)]


def _judges(span: RecordedSpan) -> bool:
    """Whether it judged a draft and nothing else; the last rounds of a session may never have been answered."""
    of = span.attributes
    answered = tracing.FORWARD_MS in of and not of.get(tracing.STALE)
    return bool(answered and of.get(tracing.DRAFTED_TOKENS) and not of.get(tracing.FREE_RUN_STEPS))


def _stages(span: RecordedSpan, children: Sequence[RecordedSpan]) -> RoundStages:
    found = {child.name: child for child in children}
    wait, send = found[SPAN_DRAFT_WAIT], found[tracing.SPAN_SEND]
    translate = found.get(tracing.SPAN_TRANSLATE)
    # A translation that was done before the loop last woke took part of the wait.
    translate_ms = translate.milliseconds if translate and translate.start_ns >= wait.end_ns else 0.0
    queue_ms, compute_ms, forward_ms = (
        span.attributes[name] for name in (tracing.QUEUE_MS, tracing.COMPUTE_MS, tracing.FORWARD_MS)
    )
    return RoundStages(
        draft_wait=wait.milliseconds,
        decide=(send.start_ns - wait.end_ns) / 1e6 - translate_ms,
        translate=translate_ms,
        send=send.milliseconds,
        wire=(span.end_ns - send.end_ns) / 1e6 - queue_ms - compute_ms,
        queue=queue_ms,
        forward=forward_ms,
        judge=compute_ms - forward_ms,
        settle=_milliseconds(found, tracing.SPAN_SETTLE),
        deliver=_milliseconds(found, tracing.SPAN_COMMIT),
    )


def _milliseconds(found: Mapping[str, RecordedSpan], name: str) -> float:
    return found[name].milliseconds if name in found else 0.0
