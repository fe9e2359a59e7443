"""Has engines take steps of all sizes, in turns, and sums up what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol


class Steps(Protocol):
    """What takes steps; :class:`~draftmesh.bench.rows.measured_engine.MeasuredEngine` does."""

    async def step_ms(self, rows: int) -> float:
        """Milliseconds of one step with so many rows."""


@dataclass(frozen=True, slots=True)
class RowCost:
    """What one size costs."""

    rows: int
    fastest_ms: float
    """The others may have waited for something else."""

    median_ms: float
    steps: int
    """Steps that were measured."""


async def measure_costs(
    engines: Mapping[str, Steps], sizes: Sequence[int], *, repeats: int, progress: Callable[[str], None]
) -> dict[str, tuple[RowCost, ...]]:
    """The costs of each engine, by growing rows.

    Every repeat goes through all sizes, and at each one through all engines, so that a machine that is busy for a while
    is busy for all of them. One repeat before does not count.

    Args:
        engines: By name; they are compared with each other.
        sizes: Numbers of rows.
        repeats: Steps of each size that count.
        progress: Is told what is going on.
    """
    taken: dict[tuple[str, int], list[float]] = {(name, rows): [] for name in engines for rows in sizes}
    for repeat in range(repeats + 1):
        for rows in sizes:
            for name, engine in engines.items():
                taken[name, rows].append(await engine.step_ms(rows))
        progress(f"repeat {repeat} of {repeats}" if repeat else "warmed up")
    return {name: tuple(_cost(rows, taken[name, rows][1:]) for rows in sorted(sizes)) for name in engines}


def _cost(rows: int, milliseconds: Sequence[float]) -> RowCost:
    return RowCost(rows, min(milliseconds), median(milliseconds), len(milliseconds))
