"""What a verification round costs beside the forwards, by stage and by streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from draftmesh.bench.overhead.spans import RoundStages
from draftmesh.bench.plots import Plot, Series
from draftmesh.bench.spread import Percentiles
from draftmesh.bench.subject import Subject

STAGES = tuple(field.name for field in fields(RoundStages))
MOST_MS = 2.0
"""Of overhead, at the median, with one stream."""


@dataclass(frozen=True, slots=True)
class Level:
    """So many streams at a time."""

    streams: int
    rounds: int
    """That judged a draft and are counted."""

    overhead_ms: Percentiles
    """Of a round: all but the target's forward and the wait for a draft."""

    own_ms: Percentiles
    """The same less the wait in the verifier's queue, where with many streams other streams' forwards are."""

    stages_ms: dict[str, Percentiles]
    """By the names of :class:`RoundStages`."""


@dataclass(frozen=True, slots=True)
class OverheadResult:
    """The fields of the JSON object."""

    subject: Subject
    method: str
    temperature: float
    max_tokens: int
    levels: tuple[Level, ...]
    bare_ms: Percentiles
    """Of a message there and back on a bare stream, less its pause (:mod:`bare_stream`): the least that a round's wire
    and queue can take here."""

    holds: bool | None
    """Whether the overhead of one stream is at most 2 ms at the median; None if one stream was not measured."""

    @property
    def caption(self) -> str:
        """What was measured on what."""
        return (
            f"{self.subject.title}; {self.method} at T = {self.temperature:g}; generations of {self.max_tokens} "
            "tokens; no round is sent ahead, every span is recorded"
        )

    def plots(self) -> Sequence[Plot]:
        """Overhead over streams."""
        streams = [level.streams for level in self.levels]
        lines = (
            Series("all, median", streams, [level.overhead_ms.p50 for level in self.levels]),
            Series("without the verifier's queue, median", streams, [level.own_ms.p50 for level in self.levels]),
            Series("without the queue, p99", streams, [level.own_ms.p99 for level in self.levels], is_dashed=True),
        )
        title = "A verification round less the target's forward and the wait for a draft"
        return (Plot(title, "streams at a time", "ms", lines, reference=MOST_MS, x_scale="log", caption=self.caption),)


def level_of(streams: int, rounds: Sequence[RoundStages]) -> Level:
    """The percentiles of at least one round."""
    return Level(
        streams=streams,
        rounds=len(rounds),
        overhead_ms=Percentiles.of([stages.overhead for stages in rounds]),
        own_ms=Percentiles.of([stages.own for stages in rounds]),
        stages_ms={name: Percentiles.of([getattr(stages, name) for stages in rounds]) for name in STAGES},
    )
