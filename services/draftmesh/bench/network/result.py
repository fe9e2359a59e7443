"""What delay did to the speed-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from draftmesh.bench.plots import Plot, Series
from draftmesh.bench.spread import Spread
from draftmesh.bench.subject import Subject

Link = Literal["drafter", "verifier"]
"""Which of its two peers is far from the shard."""

LEAST_SHARE = 0.7
"""Of the gain at no delay, that must be left."""


@dataclass(frozen=True, slots=True)
class Point:
    """One round trip time; speed-ups are over ``off`` on the same link."""

    rtt_ms: float
    off_tokens_per_second: Spread
    with_overlap: Spread
    without_overlap: Spread
    acceptance_rate: float
    """Of the series with overlap."""

    draft_length: float
    """Mean target tokens of a draft, with overlap."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """Whether enough of the gain is left at a round trip time."""

    rtt_ms: float
    gain: float
    """Speed-up less 1."""

    gain_share: float | None
    """Of the gain at no delay; None if drafting gains nothing even there, so that there is nothing to keep."""

    holds: bool


@dataclass(frozen=True, slots=True)
class NetworkResult:
    """The fields of the JSON object."""

    subject: Subject
    link: Link
    method: str
    temperature: float
    prompts: int
    repeats: int
    max_tokens: int
    verification_ms: float
    """One verification of a full draft, as the verifier's cost curve has it."""

    points: tuple[Point, ...]
    """By growing round trip time, the first at none."""

    criteria: tuple[Criterion, ...]

    @property
    def caption(self) -> str:
        """What was measured on what."""
        return (
            f"{self.subject.title}; {self.method} at T = {self.temperature:g}; {self.prompts} prompts of "
            f"{self.max_tokens} tokens, {self.repeats} times; medians and quartiles"
        )

    def plots(self) -> Sequence[Plot]:
        """Speed-up over round trip time."""
        far = f"coordinator to {self.link}"
        series = (
            _series("with overlap", [(point.rtt_ms, point.with_overlap) for point in self.points]),
            _series("without overlap", [(point.rtt_ms, point.without_overlap) for point in self.points], dashed=True),
        )
        label = f"round trip time, {far}, ms (one verification: {self.verification_ms:.0f} ms)"
        title = f"Speed-up over no drafting, {far}"
        return (Plot(title, label, "speed-up over off", series, reference=1.0, caption=self.caption),)


def criterion(points: Sequence[Point], rtt_ms: float) -> Criterion:
    """Whether the gain at ``rtt_ms`` is at least 0.7 of the gain of the first point, which has no delay."""
    least_gain = points[0].with_overlap.median - 1
    gain = next(point for point in points if point.rtt_ms == rtt_ms).with_overlap.median - 1
    share = gain / least_gain if least_gain > 0 else None
    return Criterion(rtt_ms, gain, share, share is not None and share >= LEAST_SHARE)


def _series(label: str, points: Sequence[tuple[float, Spread]], *, dashed: bool = False) -> Series:
    return Series(
        label,
        [rtt_ms for rtt_ms, _ in points],
        [spread.median for _, spread in points],
        error=[spread.half_range for _, spread in points],
        is_dashed=dashed,
    )
