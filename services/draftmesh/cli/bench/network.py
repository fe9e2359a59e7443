"""``draftmesh bench network``: what delay between a coordinator and its peers does to the speed-up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from rich.table import Table

from draftmesh.bench.network.result import Criterion, Link, NetworkResult, Point
from draftmesh.bench.network.sweep import SweepPlan, sweep
from draftmesh.cli.bench.options import ReportOptions, WorkOptions, begin, leave
from draftmesh.cli.options import Flat, PairOptions
from draftmesh.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions(WorkOptions):
    """What is measured."""

    link: Link = "drafter"
    """The peer behind the delay."""

    rtt_ms: tuple[float, ...] = (0.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
    """A round trip time to measure, may be given several times; 0, 20 and that of one verification always are."""


def network(
    *,
    options: Annotated[NetworkOptions, Flat] = NetworkOptions(),
    models: Annotated[PairOptions, Flat] = PairOptions(),
    report: Annotated[ReportOptions, Flat] = ReportOptions(),
) -> None:
    """Measure the speed-up of drafting over no drafting, behind round trips of 0 to 200 ms, with and without overlap.

    Every daemon has a process of its own; the delay is a proxy on loopback. All ways of decoding take turns.
    """
    options.check()
    if any(rtt_ms < 0 for rtt_ms in options.rtt_ms):
        raise ConfigError("a round trip time cannot be negative")
    plan = SweepPlan(options.link, options.rtt_ms, options.texts, options.generation())
    result = asyncio.run(sweep(options.specs(models), options.pair(models), plan, begin()))
    lines = (_verdict(criterion, result) for criterion in result.criteria)
    leave(result, f"network-{result.link}", (_table(result), result.caption, *lines), report)


def _table(result: NetworkResult) -> Table:
    table = Table(title=f"speed-up over off, {result.link} behind the delay")
    for column in ("RTT, ms", "off, tokens/s", "with overlap", "without overlap", "acceptance", "draft length"):
        table.add_column(column, justify="right")
    for point in result.points:
        table.add_row(*_cells(point))
    return table


def _cells(point: Point) -> tuple[str, ...]:
    return (
        f"{point.rtt_ms:g}",
        str(point.off_tokens_per_second),
        str(point.with_overlap),
        str(point.without_overlap),
        f"{point.acceptance_rate:.3f}",
        f"{point.draft_length:.1f}",
    )


def _verdict(criterion: Criterion, result: NetworkResult) -> str:
    name = " (one verification)" if criterion.rtt_ms == result.verification_ms else ""
    share = "no gain at 0 ms" if criterion.gain_share is None else f"{criterion.gain_share:.2f} of that at 0 ms"
    holds = "holds" if criterion.holds else "does not hold"
    return f"at {criterion.rtt_ms:g} ms{name} the gain is {criterion.gain:.2f}, {share}; at least 0.7: {holds}"
