"""``draftmesh bench guard``: whether drafting that does not pay costs anything."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from rich.table import Table

from draftmesh.bench.guard.guarding import GuardPlan
from draftmesh.bench.guard.guarding import guard as measure
from draftmesh.bench.guard.result import GuardResult, Outcome
from draftmesh.cli.bench.options import ReportOptions, WorkOptions, begin, leave
from draftmesh.cli.options import Flat, PairOptions
from draftmesh.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardOptions(WorkOptions):
    """What is measured."""

    max_tokens: int = 192
    """Tokens of each session, which goes on after an end token."""

    skipped_tokens: int = 64
    """Tokens of each session that are not counted."""

    hang_after_tokens: int = 32
    """Tokens of a session after which its drafter hangs, where it does."""

    only: tuple[str, ...] = ()
    """The beginning of a scenario's name, to measure it alone; may be given several times."""


def guard(
    *,
    options: Annotated[GuardOptions, Flat] = GuardOptions(),
    models: Annotated[PairOptions, Flat] = PairOptions(),
    report: Annotated[ReportOptions, Flat] = ReportOptions(),
) -> None:
    """Measure drafting against no drafting where it does not pay.

    The drafter has random weights, is 20 times too slow, hangs, is behind 100 ms, or has hardly anything accepted. Each
    session of either way has the same prompt and seed, and they take turns.
    """
    options.check()
    if options.max_tokens <= options.skipped_tokens + 1:
        raise ConfigError("max_tokens must leave tokens to count after skipped_tokens")
    generation = replace(options.generation(), ignore_eos=True)
    plan = GuardPlan(options.texts, generation, options.skipped_tokens, options.hang_after_tokens, options.only)
    progress = begin()
    with tempfile.TemporaryDirectory(prefix="draftmesh-guard-") as folder:
        work = measure(options.specs(models), options.pair(models), plan, Path(folder), progress)
        result = asyncio.run(work)
    leave(result, "guard", (_table(result), result.caption), report)


def _table(result: GuardResult) -> Table:
    table = Table(title="throughput with drafting by that without, at least 0.95")
    table.add_column("drafter")
    for column in ("T", "off, tokens/s", "ratio", "holds", "acceptance", "draft length", "rounds drafted", "step, ms"):
        table.add_column(column, justify="right")
    for outcome in result.outcomes:
        table.add_row(*_cells(outcome))
    return table


def _cells(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.label,
        f"{outcome.temperature:g}",
        str(outcome.off_tokens_per_second),
        str(outcome.ratio),
        "yes" if outcome.holds else "NO",
        f"{outcome.acceptance_rate:.3f}",
        f"{outcome.draft_length:.1f}",
        f"{outcome.drafted_share:.0%}",
        f"{outcome.drafter_step_ms:.1f}",
    )
