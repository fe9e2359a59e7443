"""Whether drafting that does not pay costs anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.bench.guard.scenarios import LEAST_RATIO
from draftmesh.bench.plots import Plot, Series
from draftmesh.bench.spread import Spread
from draftmesh.bench.subject import Subject


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scenario; tokens count after the first of each session."""

    label: str
    temperature: float
    off_tokens_per_second: Spread
    ratio: Spread
    """Of the throughput of ``off``, session by session."""

    acceptance_rate: float
    draft_length: float
    """Mean target tokens of a draft."""

    drafted_share: float
    """Rounds that judged a draft, of all forward passes of the target."""

    drafter_step_ms: float
    """The drafter's smallest step, as its cost curve has it; 0 where it has none."""

    holds: bool
    """Whether the median is at least 0.95."""


@dataclass(frozen=True, slots=True)
class GuardResult:
    """The fields of the JSON object."""

    subject: Subject
    method: str
    prompts: int
    repeats: int
    max_tokens: int
    skipped_tokens: int
    """Of each session, that are not counted."""

    outcomes: tuple[Outcome, ...]

    @property
    def caption(self) -> str:
        """What was measured on what."""
        return (
            f"{self.subject.title}; {self.method}; {self.prompts} sessions of {self.max_tokens} tokens, "
            f"{self.repeats} times, counted after {self.skipped_tokens} tokens; medians and quartiles"
        )

    def plots(self) -> Sequence[Plot]:
        """One bar for each scenario."""
        ratios = [outcome.ratio for outcome in self.outcomes]
        errors = [ratio.half_range for ratio in ratios]
        labels = [outcome.label.partition(":")[0].replace(" ", "\n", 1) for outcome in self.outcomes]
        series = Series("with drafting", labels, [ratio.median for ratio in ratios], error=errors)
        title = "Throughput where drafting does not pay, as a share of that without drafting"
        caption = self.caption
        return (Plot(title, "", "share", (series,), kind="bars", reference=LEAST_RATIO, caption=caption),)
