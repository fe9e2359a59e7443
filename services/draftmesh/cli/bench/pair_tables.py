"""``draftmesh bench pair`` for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from draftmesh.bench.pair.methods import BenchRow
from draftmesh.bench.pair.result import BenchResult
from draftmesh.cli.trial_cells import MEASURED_COLUMNS, PSI_COLUMNS, measured_cells, psi_cells


def print_bench(result: BenchResult, console: Console) -> None:
    """Print what was measured, on what, and how."""
    for part in (_title(result), _table(result), _caption(result)):
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))


def _table(result: BenchResult) -> Table:
    """One row a setting, the temperatures below each other."""
    table = Table()
    for column in (*MEASURED_COLUMNS, "speed", "of best", *PSI_COLUMNS):
        table.add_column(column, justify="left" if column == "method" else "right")
    trials = [row.trial for row in result.rows]
    alone = {trial.temperature: trial.tokens_per_second for trial in trials if trial.method == "off"}
    for row in result.rows:
        table.add_row(*_cells(row, alone.get(row.trial.temperature, 0.0)))
    return table


def _cells(row: BenchRow, alone: float) -> tuple[str, ...]:
    trial, figures = row.trial, row.trial.figures
    if figures is None or row.of_best is None:
        return f"{trial.temperature:g}", f"{row.label}: not offered"
    return (
        *measured_cells(trial, figures, row.label),
        f"{trial.tokens_per_second / alone:.2f}×" if alone else "",
        f"{row.of_best.value:.2f} ± {row.of_best.error:.2f}",
        *psi_cells(trial),
    )


def _title(result: BenchResult) -> str:
    target = "expanded demo target" if result.is_expanded else result.target
    ratio = f"; a drafter's step takes {result.cost_ratio:.2f} of a target's" if result.cost_ratio else ""
    return (
        f"{target} of {result.sizes.target / 1e6:.0f} M parameters, drafter {result.drafter} of "
        f"{result.sizes.drafter / 1e6:.1f} M{ratio}"
    )


def _caption(result: BenchResult) -> str:
    return (
        f"{result.cores} cores; threads: target {result.verifier_threads}, drafter {result.drafter_threads}, "
        f"off {result.off_threads}; {result.prompts} prompts of {result.max_tokens} tokens, {result.repeats} times"
    )
