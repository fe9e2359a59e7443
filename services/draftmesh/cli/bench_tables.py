"""A benchmark for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from draftmesh.bench.methods import BenchRow
from draftmesh.bench.result import BenchResult


def print_bench(result: BenchResult, console: Console) -> None:
    """Print what was measured, on what, and how."""
    for part in (_title(result), _table(result), _caption(result)):
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))


def _table(result: BenchResult) -> Table:
    """One row a setting, the temperatures below each other."""
    table = Table()
    for column in ("T", "method", "acceptance", "accepted bytes/target step", "tokens/s", "speed", "ψ/token", "rows/ψ"):
        table.add_column(column, justify="left" if column == "method" else "right")
    alone = {row.temperature: _rate(row) for row in result.rows if row.method == "off"}
    for row in result.rows:
        table.add_row(*_cells(row, alone.get(row.temperature, 0.0)))
    return table


def _cells(row: BenchRow, alone: float) -> tuple[str, ...]:
    figures = row.figures
    if figures is None:
        return f"{row.temperature:g}", f"{row.label}: not offered"
    drafted = bool(figures.drafted_tokens)
    return (
        f"{row.temperature:g}",
        row.label + (f" ({', '.join(row.chosen)})" if row.method == "auto" else ""),
        f"{figures.acceptance_rate:.3f} ± {figures.acceptance_error:.3f}" if drafted else "",
        f"{figures.accepted_bytes_per_target_step:.2f}" if drafted else "",
        f"{figures.tokens_per_second:.1f}",
        f"{_rate(row) / alone:.2f}×" if alone else "",
        f"{row.psi.per_committed_token:.2f}" if row.psi else "",
        f"{row.psi.rows_per_psi:.2f}" if row.psi else "",
    )


def _rate(row: BenchRow) -> float:
    return row.figures.tokens_per_second if row.figures else 0.0


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
        f"off {result.off_threads}; {result.prompts} prompts of {result.max_tokens} tokens, median of {result.repeats}"
    )
