"""``draftmesh bench rows`` for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from draftmesh.bench.rows.costs import RowCost
from draftmesh.bench.rows.result import EngineCosts, RowsResult


def print_rows(result: RowsResult, console: Console) -> None:
    """Print what was measured, on what, and what packing adds."""
    console.print(_table(result), highlight=False)
    console.print(_caption(result), highlight=False, soft_wrap=True)
    if result.memory_gb_per_s is not None:
        console.print(_bound(result, result.memory_gb_per_s), highlight=False, soft_wrap=True)
    for memory in result.memory:
        line = f"packing {memory.parameters / 1e6:.0f} M parameters adds {memory.added_bytes / 1e6:.0f} MB of memory"
        console.print(line, highlight=False, soft_wrap=True)


def _table(result: RowsResult) -> Table:
    """One row an engine, one column a number of rows."""
    table = Table("target", title="ms of one verification by rows: fastest (median), and by that of one row")
    for cost in result.engines[0].costs:
        table.add_column(str(cost.rows), justify="right")
    table.add_column("packed layers", justify="right")
    table.add_column("private memory", justify="right")
    for engine in result.engines:
        table.add_row(*_cells(engine))
    return table


def _cells(engine: EngineCosts) -> tuple[str, ...]:
    memory = f"{engine.memory.private_bytes / 1e9:.2f} GB" if engine.memory else ""
    single = next((cost.fastest_ms for cost in engine.costs if cost.rows == 1), None)
    costs = (_cost(cost, single) for cost in engine.costs)
    return (engine.label, *costs, str(engine.packed_layers), memory)


def _cost(cost: RowCost, single_ms: float | None) -> str:
    share = f" {cost.fastest_ms / single_ms:.2f}×" if single_ms else ""
    return f"{cost.fastest_ms:.1f} ({cost.median_ms:.1f}){share}"


def _caption(result: RowsResult) -> str:
    steps = result.engines[0].costs[0].steps
    where = f"{result.threads} threads" if result.device == "cpu" else result.device
    return (
        f"expanded demo target, {result.dtype}; {where}; {result.context_tokens} tokens of context; "
        f"{steps} steps of each size"
    )


def _bound(result: RowsResult, memory_gb_per_s: float) -> str:
    """What the memory allows, and how much of that the cheapest steps reach."""
    floors = {engine.parameters: engine.weight_bytes / memory_gb_per_s / 1e6 for engine in result.engines}
    fastest = {
        parameters: min(
            cost.fastest_ms for engine in result.engines if engine.parameters == parameters for cost in engine.costs
        )
        for parameters in floors
    }
    shares = "; ".join(
        f"{parameters / 1e6:.0f} M: reading the weights takes {floor:.2f} ms, {floor / fastest[parameters]:.0%} of the "
        "fastest step"
        for parameters, floor in floors.items()
    )
    return f"the memory moves {memory_gb_per_s:.0f} GB/s. {shares}"
