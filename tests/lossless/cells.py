"""The cells of the law suite: every method under every setting, on one pair of toy models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import assert_never

from draftmesh.core.draft import DraftExtent
from draftmesh.core.sampling import Method, SamplingParams
from draftmesh.decoding.psi import TreeBounds
from tests.helpers.joint_law import Law, joint_law
from tests.helpers.law_statistics import Comparison, compare
from tests.helpers.toy_blocks import AMPLE, BlockDrafter
from tests.helpers.toy_drafters import SharedTokenDrafter, TextDrafter
from tests.helpers.toy_language import ToyModel, toy_drafter, toy_short_target, toy_target, toy_twin
from tests.helpers.toy_sessions import TOKENS, NoDrafter, Play, ToyDrafter, toy_judge

SETTINGS = {
    "T=0.3": SamplingParams(temperature=0.3),
    "T=1": SamplingParams(temperature=1.0),
    "T=1.5": SamplingParams(temperature=1.5),
    "top-k": SamplingParams(temperature=1.0, top_k=5),
    "top-p": SamplingParams(temperature=1.0, top_p=0.85),
    "penalties": SamplingParams(temperature=1.0, repetition_penalty=1.5, presence_penalty=0.4, frequency_penalty=0.3),
}
GREEDY_NAME, GREEDY = "T=0", SamplingParams()
"""No cell of the suite: its law is one sequence, and leaves nothing to statistics."""

PSI_CAPS_BYTES = (16, 4, 1)
TIGHT_BOUNDS = tuple(replace(AMPLE, **bound) for bound in ({"max_depth": 2}, {"max_paths": 2}, {"max_paths": 6}))
"""Bounds of draft trees that many drafts meet."""

PAUSES = (0.05, 0.25)
"""Least confidences of drafts: few pause by the first before they are as long as any, most by the second."""

NARROW_SUPPORT = 5
"""Tokens of a proposal in cells whose proposals are cut short."""

SIGNIFICANCE = 1e-3
"""Of the whole suite: the chance that a faithful product fails it, had the seeds not been fixed."""


@dataclass(frozen=True)
class Pair:
    """The models of a cell."""

    name: str = ""
    target: Callable[[], ToyModel] = field(default=toy_target, compare=False)
    drafter: Callable[[], ToyModel] = field(default=toy_drafter, compare=False)
    is_greedy: bool = False
    """Whether the drafter samples at T = 0, whatever the target does."""


MISSING_ROW = Pair("a token without a row", toy_short_target, partial(toy_drafter, raised={2: 2.0}))


@dataclass(frozen=True)
class Cell:
    """One method under one setting."""

    method: Method
    setting: str
    pair: Pair = Pair()
    cap_bytes: int = 16
    support: int = 64
    bounds: TreeBounds = AMPLE
    least_confidence: float = 0.0

    @property
    def name(self) -> str:
        """The method as the table names it."""
        cap = f" cap {self.cap_bytes}" if self.method is Method.SLRS else ""
        depth = f" depth {self.bounds.max_depth}" if self.bounds.max_depth != AMPLE.max_depth else ""
        paths = f" paths {self.bounds.max_paths}" if self.bounds.max_paths != AMPLE.max_paths else ""
        support = f" top {self.support}" if self.support != 64 else ""
        pauses = f" below {self.least_confidence:g}" if self.least_confidence else ""
        return self.method.label + cap + support + depth + paths + pauses

    @property
    def setting_name(self) -> str:
        """The setting as the table names it."""
        return f"{self.setting}, {self.pair.name}" if self.pair.name else self.setting

    @property
    def sampling(self) -> SamplingParams:
        """The setting."""
        return GREEDY if self.setting == GREEDY_NAME else SETTINGS[self.setting]


@dataclass(frozen=True, slots=True)
class Finding:
    """A cell's sample against the laws of the first 1, 2 and 3 tokens."""

    by_length: tuple[Comparison, ...]

    @property
    def joint(self) -> Comparison:
        """All tokens."""
        return self.by_length[-1]

    @property
    def clearest(self) -> Comparison:
        """Where the sample is furthest off, in units of the noise."""
        return max(self.by_length, key=lambda comparison: comparison.margin)

    @property
    def least_p_value(self) -> float:
        """Of all lengths."""
        return min(comparison.p_value for comparison in self.by_length)

    def is_faithful(self, cells: int) -> bool:
        """Whether no law is rejected, with Bonferroni's correction for all laws of a suite of so many cells."""
        return all(comparison.is_faithful(SIGNIFICANCE / (cells * TOKENS)) for comparison in self.by_length)


def plain_cells() -> list[Cell]:
    """Every method under every setting."""
    methods = [Cell(method, "") for method in (Method.OFF, Method.EXACT, Method.TLI_EXACT)]
    methods += [Cell(Method.TLI, ""), Cell(Method.TLI, "", support=NARROW_SUPPORT), Cell(Method.REJECTION, "")]
    methods += [Cell(Method.SLRS, "", cap_bytes=cap) for cap in PSI_CAPS_BYTES]
    methods += [Cell(Method.SLRS, "", support=NARROW_SUPPORT)]
    cells = [replace(cell, setting=setting) for cell in methods for setting in SETTINGS]
    short = (Cell(Method.EXACT, "T=1"), Cell(Method.TLI, "T=1"), Cell(Method.SLRS, "T=1"))
    bounded = [Cell(Method.SLRS, "T=1", bounds=bounds) for bounds in TIGHT_BOUNDS]
    return [*cells, *(replace(cell, pair=MISSING_ROW) for cell in short), *bounded, *pausing_cells()]


def pausing_cells() -> list[Cell]:
    """Drafts that are as long as what they say allows."""
    methods = (Method.TLI, Method.TLI_EXACT, Method.REJECTION)
    return [Cell(method, "T=1", least_confidence=least) for method in methods for least in PAUSES]


def find(cell: Cell, seeds: range) -> Finding:
    """Play a session for each seed and compare what they say with the law."""
    target = cell.pair.target()
    laws = [joint_law(target, cell.sampling, length) for length in range(1, TOKENS + 1)]
    return finding_of(outcomes_of(cell, seeds), laws)


def outcomes_of(cell: Cell, seeds: range) -> list[tuple[int, ...]]:
    """The first tokens of a session for each seed."""
    target = cell.pair.target()
    play = Play(target, cell.method, cell.sampling, _drafter(cell, target), toy_judge(target))
    return list(play.outcomes(seeds))


def finding_of(outcomes: Sequence[tuple[int, ...]], laws: Sequence[Law]) -> Finding:
    """Sequences of tokens against the laws of their first 1, 2, … tokens."""
    by_length = enumerate(laws, 1)
    return Finding(tuple(compare([outcome[:length] for outcome in outcomes], law) for length, law in by_length))


def seeds_of(index: int, samples: int) -> range:
    """Seeds that no other cell of a suite has."""
    return range(index * 10_000_000, index * 10_000_000 + samples)


def _drafter(cell: Cell, target: ToyModel) -> ToyDrafter:
    sampling = SamplingParams() if cell.pair.is_greedy else cell.sampling
    match cell.method:
        case Method.OFF:
            return NoDrafter()
        case Method.EXACT:
            return TextDrafter(cell.pair.drafter(), target, sampling)
        case Method.TLI | Method.TLI_EXACT:
            return _sharing(cell, cell.pair.drafter(), target, sampling)
        case Method.REJECTION:
            return _sharing(cell, toy_twin(), target, sampling)
        case Method.SLRS:
            drafter = cell.pair.drafter()
            return BlockDrafter(
                drafter, target, sampling, cap_bytes=cell.cap_bytes, support=cell.support, bounds=cell.bounds
            )
        case Method.AUTO:
            raise ValueError("auto is one of the others")
        case _:
            assert_never(cell.method)


def _sharing(cell: Cell, drafter: ToyModel, target: ToyModel, sampling: SamplingParams) -> ToyDrafter:
    extent = DraftExtent(least_confidence=cell.least_confidence)
    return SharedTokenDrafter(drafter, target, sampling, cell.method, support=cell.support, extent=extent)
