"""The comparison as a value, and as plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from draftmesh.bench.plots import Plot, Series
from draftmesh.bench.spread import Spread
from draftmesh.inspection.sizes import ModelSizes

PLAIN, SLEM, TLI, OFF = "transformers", "transformers SLEM", "transformers TLI", "off"
"""Labels of what everybody is compared with."""


@dataclass(frozen=True, slots=True)
class PeerRow:
    """What was measured of one contestant at one temperature."""

    label: str
    temperature: float
    refusal: str = ""
    """Why it takes no part; then there are no figures."""

    ways: Mapping[str, int] = field(default_factory=dict)
    """Generations by how they were decoded; more than one way only where ``auto`` chose."""

    tokens_per_second: Spread | None = None
    tokens: int = 0
    drafted_tokens: int = 0
    """Target tokens proposed and judged."""

    acceptance_rate: float | None = None
    """Accepted of the drafted target tokens; None without drafting."""

    acceptance_length: float | None = None
    """Mean tokens committed by a target forward that judged a draft."""

    of_plain: Spread | None = None
    """Its speed by that of transformers' plain generation, task by task."""

    of_assisted: Spread | None = None
    """Its speed by that of the assisted generation that transformers chooses at this temperature, task by task."""

    equal_texts: int | None = None
    """Generations with transformers' own greedy tokens; None above T = 0."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What was compared, on what."""

    target: str
    drafter: str
    is_expanded: bool
    """Whether the target is the packaged one, which says what a small model says and costs what a large one costs."""

    sizes: ModelSizes
    cost_ratio: float | None
    """Time of a drafter's step by that of a target's, in draftmesh."""

    dtype: str
    threads: int
    """Of every peer, and of ``off``."""

    verifier_threads: int
    drafter_threads: int
    is_pinned: bool
    """Whether everything ran on as many cores as there are threads; else on all cores."""

    prompts: int
    repeats: int
    max_tokens: int

    @property
    def words(self) -> str:
        """The pair, its sizes and its cost ratio: no speed-up means anything without them."""
        target = "expanded demo target" if self.is_expanded else self.target
        ratio = f"; a drafter's step takes {self.cost_ratio:.2f} of a target's" if self.cost_ratio else ""
        return (
            f"{target} of {self.sizes.target / 1e6:.0f} M parameters, drafter {self.drafter} of "
            f"{self.sizes.drafter / 1e6:.1f} M{ratio}"
        )


@dataclass(frozen=True, slots=True)
class PeersResult:
    """The fields of the JSON object. The first ratios are medians over all tasks, above 1 where draftmesh is faster."""

    t0_vs_greedy: float | None
    """The method of ``drafting_methods`` at T = 0 by plain greedy decoding."""

    t0_vs_assisted: float | None
    t1_vs_sampling: float | None
    t1_vs_assisted: float | None
    off_vs_greedy: float | None
    """``off`` at T = 0 by plain greedy decoding."""

    drafting_methods: Mapping[str, str]
    """Temperature and the method whose ratios are the first ones; chosen before anything is measured."""

    setup: Setup
    rows: tuple[PeerRow, ...]

    def plots(self) -> Sequence[Plot]:
        """Speeds, a plot for each temperature."""
        temperatures = dict.fromkeys(row.temperature for row in self.rows)
        return tuple(self._plot(temperature) for temperature in temperatures)

    def _plot(self, temperature: float) -> Plot:
        measured = [(row.label, row.tokens_per_second) for row in self.rows if row.temperature == temperature]
        speeds = {label: speed for label, speed in measured if speed is not None}
        bars = Series(
            "tokens/s",
            tuple(speeds),
            tuple(speed.median for speed in speeds.values()),
            error=tuple(speed.half_range for speed in speeds.values()),
        )
        return Plot(
            title=f"One stream at T = {temperature:g}",
            x_label="",
            y_label="tokens/s (median; half the interquartile range)",
            series=(bars,),
            kind="bars",
            reference=speeds[PLAIN].median if PLAIN in speeds else None,
            caption=self.setup.words,
        )
