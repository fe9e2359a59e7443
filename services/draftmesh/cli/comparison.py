"""Decoding with and without drafting, compared: what the demo shows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from draftmesh.inspection.measuring import Timed, sum_up, tokens_per_second
from draftmesh.inspection.sizes import ModelSizes

METHODS = ("off", "exact")


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What was measured; the fields of the JSON object."""

    tokens_per_second_off: float
    tokens_per_second: float
    speedup: float
    acceptance_rate: float
    acceptance_length: float
    identical: bool
    target_parameters: int
    drafter_parameters: int
    temperature: float
    prompts: int
    repeats: int


def compare(runs: Mapping[str, Sequence[Sequence[Timed]]], sizes: ModelSizes, temperature: float) -> DemoResult:
    """Compare the two methods.

    Args:
        runs: By method, for each repeat one generation a prompt; the same prompts everywhere.
        sizes: Of the two models.
        temperature: That all was drawn at.
    """
    rates = {method: statistics.median(map(tokens_per_second, runs[method])) for method in METHODS}
    off, exact = ([run for repeat in runs[method] for run in repeat] for method in METHODS)
    drafting = sum_up(exact)
    return DemoResult(
        tokens_per_second_off=round(rates["off"], 2),
        tokens_per_second=round(rates["exact"], 2),
        speedup=round(rates["exact"] / rates["off"], 3),
        acceptance_rate=round(drafting.acceptance_rate, 3),
        acceptance_length=round(drafting.acceptance_length, 2),
        identical=all(one.generation.data == other.generation.data for one, other in zip(off, exact, strict=True)),
        target_parameters=sizes.target,
        drafter_parameters=sizes.drafter,
        temperature=temperature,
        prompts=len(runs["off"][0]),
        repeats=len(runs["off"]),
    )


def comparison_table(result: DemoResult) -> Table:
    """The comparison for people."""
    table = Table("", "without drafting", "with drafting", title=_title(result))
    off, exact = f"{result.tokens_per_second_off:.1f}", f"{result.tokens_per_second:.1f}"
    table.add_row("tokens/s", off, f"{exact} ({result.speedup:.2f}×)")
    table.add_row("acceptance rate", "", f"{result.acceptance_rate:.2f}")
    table.add_row("acceptance length", "1.00", f"{result.acceptance_length:.2f}")
    table.add_row("text", "", "identical" if result.identical else "DIFFERENT")
    return table


def _title(result: DemoResult) -> str:
    target, drafter = result.target_parameters / 1e6, result.drafter_parameters / 1e6
    return (
        f"target of {target:.0f} M parameters (expanded), drafter of {drafter:.1f} M; T = {result.temperature:g}; "
        f"{result.prompts} prompts, median of {result.repeats}"
    )
