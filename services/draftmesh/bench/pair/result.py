"""The whole of a benchmark, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.bench.pair.methods import BenchRow
from draftmesh.inspection.sizes import ModelSizes


@dataclass(frozen=True, slots=True)
class BenchResult:
    """One pair, measured; the fields of the JSON object."""

    target: str
    drafter: str
    is_expanded: bool
    """Whether the target is the packaged one, which says what a small model says and costs what a large one costs."""

    sizes: ModelSizes
    cost_ratio: float | None
    """Time of a drafter's step by that of a target's."""

    cores: int
    verifier_threads: int
    drafter_threads: int
    off_threads: int
    prompts: int
    max_tokens: int
    repeats: int
    rows: tuple[BenchRow, ...]
