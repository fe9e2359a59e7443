"""What all benchmarks of a served pair let one say, and what they leave behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, RenderableType

from draftmesh.bench.cores import usable_cores
from draftmesh.bench.pair_specs import PairSpecs
from draftmesh.bench.reports import Benchmark, as_json, write
from draftmesh.bench.subject import Pair
from draftmesh.bench.turns import Prompts
from draftmesh.cli.options import DEMO, PairOptions, PoolOptions, check_temperatures
from draftmesh.cli.painting import report_console
from draftmesh.cli.plan import deployment_plan
from draftmesh.client import GenerateOptions
from draftmesh.core.ranges import require_at_least, require_between
from draftmesh.demo.prompts import PROMPT_COUNT, all_prompts, spread
from draftmesh.telemetry.logs import configure_logging


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOptions:
    """What is measured."""

    target: str = DEMO
    """The target: a folder or hub name, or "demo": the packaged target, expanded."""

    drafter: str = DEMO
    """The drafter, as for "up"."""

    method: str = "exact"
    """The method that drafts, or "auto"."""

    temperature: float = 0.0
    """Of all generations."""

    prompts: int = 8
    """Held-out prompts to generate from, 1 to 200."""

    max_tokens: int = 64
    """Tokens of each generation at most."""

    repeats: int = 3
    """Times that each prompt is generated in each way."""

    seed: int = 7
    """Seed of the first generation's draws; the others count up."""

    def check(self) -> None:
        """Refuse what makes no sense, before models are loaded; raises ConfigError or InvalidRequestError."""
        require_between(1, PROMPT_COUNT, self, "prompts")
        require_at_least(1, self, "repeats", "max_tokens")
        check_temperatures(self.temperature)

    def specs(self, models: PairOptions, *, drafters: int = 1) -> PairSpecs:
        """The replicas; raises ConfigError where options contradict each other."""
        pools = PoolOptions(listen="127.0.0.1:0", drafters=drafters)
        return PairSpecs.of(deployment_plan(models.of(self.target, self.drafter), pools))

    def pair(self, models: PairOptions) -> Pair:
        """The models by name."""
        threads = models.verifier_threads or usable_cores()
        return Pair(
            target=Path(self.target).name,
            drafter=Path(self.drafter).name,
            is_expanded=self.target == DEMO,
            verifier_threads=threads,
            drafter_threads=models.drafter_threads,
        )

    @property
    def texts(self) -> Prompts:
        """The prompts."""
        return Prompts(spread(all_prompts(), self.prompts), self.repeats, self.seed)

    def generation(self) -> GenerateOptions:
        """Of the generations that draft."""
        return GenerateOptions(
            max_tokens=self.max_tokens, temperature=self.temperature, method=self.method, timeout_s=None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """What is left behind."""

    json: bool = False
    """Print the figures as one JSON object, alone on standard output; all else goes to standard error."""

    output: Path | None = None
    """Write figures (JSON) and plots (SVG) to this folder."""


def begin() -> Callable[[str], None]:
    """Silence the logs; what is returned tells people what is going on."""
    configure_logging(level="error")
    notes = Console(stderr=True)
    return lambda line: notes.print(f"  {line}", style="dim", highlight=False, soft_wrap=True)


def leave(result: Benchmark, name: str, parts: tuple[RenderableType, ...], report: ReportOptions) -> None:
    """Print the parts, and write what was asked for; raises ConfigError if there is no library to draw with."""
    console = report_console(json=report.json)
    for part in parts:
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))
    if report.output is not None:
        for path in write(result, report.output, name):
            console.print(f"written: {path}", style="dim", highlight=False, soft_wrap=True)
    if report.json:
        print(json.dumps(as_json(result)))
