"""``draftmesh bench serve`` for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.table import Table

from draftmesh.bench.serve.figures import LoadFigures
from draftmesh.bench.serve.result import ServeResult
from draftmesh.bench.spread import Percentiles, Spread


@dataclass(frozen=True, slots=True)
class _Row:
    """One way of decoding under one load."""

    load: str
    way: str
    figures: LoadFigures
    of_off: Spread | None = None
    of_peer: Spread | None = None


def tables(result: ServeResult) -> tuple[Table, ...]:
    """Throughput, and latency."""
    rows = tuple(_rows(result))
    throughput = ("tokens/s", "of off", "of transformers", "batch", "draft length", "acceptance")
    latency = ("first token, ms", "per token, ms", "duration, s", "answered", "refused", "unfinished")
    return (
        _table("one verifier under load", throughput, rows, _throughput_cells),
        _table("p50 / p95 / p99", latency, rows, _latency_cells),
    )


def _table(
    title: str, columns: tuple[str, ...], rows: tuple[_Row, ...], cells: Callable[[_Row], tuple[str, ...]]
) -> Table:
    table = Table("load", "way", title=title)
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(row.load, row.way, *cells(row))
    return table


def _rows(result: ServeResult) -> Iterator[_Row]:
    for level in result.closed:
        load = f"{level.concurrency} clients"
        yield _Row(load, result.method, level.drafting, level.drafting_of_off, level.drafting_of_peer)
        yield _Row("", "off", level.off, of_peer=level.off_of_peer)
        if level.peer is not None:
            yield _Row("", "transformers", level.peer)
    for arriving in result.open:
        yield _Row(f"{arriving.rate_per_s:.2f} requests/s", result.method, arriving.drafting)
        yield _Row("", "off", arriving.off)


def _throughput_cells(row: _Row) -> tuple[str, ...]:
    figures, drafts = row.figures, row.figures.draft_length > 0
    return (
        str(figures.tokens_per_second),
        str(row.of_off or ""),
        str(row.of_peer or ""),
        f"{figures.batch_sequences:.1f}" if figures.batch_sequences is not None else "",
        f"{figures.draft_length:.1f}" if drafts else "",
        f"{figures.acceptance_rate:.3f}" if drafts else "",
    )


def _latency_cells(row: _Row) -> tuple[str, ...]:
    figures = row.figures
    return (
        _tail(figures.first_token_ms),
        _tail(figures.per_token_ms),
        _tail(figures.duration_ms, scale=1e-3, digits=1),
        str(figures.requests),
        str(figures.refused or ""),
        str(figures.unfinished or ""),
    )


def _tail(of: Percentiles | None, *, scale: float = 1.0, digits: int = 0) -> str:
    return "" if of is None else " / ".join(f"{scale * value:.{digits}f}" for value in (of.p50, of.p95, of.p99))
