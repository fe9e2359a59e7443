"""``draftmesh bench overhead``: what a verification round costs beside the forwards."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from rich.table import Table

from draftmesh.bench.overhead.measuring import OverheadPlan, measure
from draftmesh.bench.overhead.result import STAGES, OverheadResult
from draftmesh.bench.spread import Percentiles
from draftmesh.cli.bench.options import ReportOptions, WorkOptions, begin, leave
from draftmesh.cli.options import Flat, PairOptions
from draftmesh.core.errors import ConfigError
from draftmesh.demo.models import TARGET, demo_model_path


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadOptions(WorkOptions):
    """What is measured."""

    target: str = str(demo_model_path(TARGET))
    """The target: a folder or hub name; "demo" is the packaged target, expanded, and otherwise it is as it was trained,
    so small that what is not a forward shows."""

    streams: tuple[int, ...] = (1, 4, 16, 64)
    """Streams at a time, may be given several times."""

    repeats: int = 3
    """Generations of each stream, one after the other."""


def overhead(
    *,
    options: Annotated[OverheadOptions, Flat] = OverheadOptions(),
    models: Annotated[PairOptions, Flat] = PairOptions(),
    report: Annotated[ReportOptions, Flat] = ReportOptions(),
) -> None:
    """Measure the time of a verification round by stage, from the coordinator's spans and the verifier's timings.

    The overhead is everything but the target's forward and the wait for a draft. Sessions always draft here, and no
    round is sent ahead of the verdict on the one before, so that the stages follow each other.
    """
    options.check()
    if min(options.streams, default=0) < 1:
        raise ConfigError("streams must be at least 1")
    generation = replace(options.generation(), ignore_eos=True)
    plan = OverheadPlan(options.streams, options.texts.texts, generation, options.repeats)
    with tempfile.TemporaryDirectory(prefix="draftmesh-overhead-") as folder:
        work = measure(options.specs(models), options.pair(models), plan, Path(folder), begin())
        result = asyncio.run(work)
    leave(result, "overhead", (_table(result), result.caption, _bare(result), *_verdict(result)), report)


def _table(result: OverheadResult) -> Table:
    """One row a stage, one column a level."""
    table = Table("stage", title="milliseconds of a round, p50 / p99")
    for level in result.levels:
        table.add_column(f"{level.streams} streams ({level.rounds} rounds)", justify="right")
    table.add_row("overhead", *(_p50_p99(level.overhead_ms) for level in result.levels))
    table.add_row("the same less the queue", *(_p50_p99(level.own_ms) for level in result.levels), end_section=True)
    for name in STAGES:
        table.add_row(name.replace("_", " "), *(_p50_p99(level.stages_ms[name]) for level in result.levels))
    return table


def _bare(result: OverheadResult) -> str:
    return f"a message alone, there and back by way of a thread: {_p50_p99(result.bare_ms)} ms"


def _p50_p99(of: Percentiles) -> str:
    return f"{of.p50:.2f} / {of.p99:.2f}"


def _verdict(result: OverheadResult) -> tuple[str, ...]:
    if result.holds is None:
        return ()
    return (f"one stream, at most 2 ms at the median: {'holds' if result.holds else 'does not hold'}",)
