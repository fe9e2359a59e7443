"""``draftmesh bench peers`` for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from draftmesh.bench.peers.result import PeerRow, PeersResult, Setup
from draftmesh.bench.spread import Spread

_COLUMNS = ("T", "who", "tokens/s", "× plain", "× assisted", "drafted", "acceptance", "acceptance length", "same text")


def print_peers(result: PeersResult, console: Console) -> None:
    """Print what was measured, on what, and how; then the ratios by name."""
    for part in (result.setup.words, _table(result), _caption(result.setup), _named(result)):
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))


def _table(result: PeersResult) -> Table:
    """One row a contestant, the temperatures below each other."""
    table = Table()
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "who" else "right")
    for row in result.rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: PeerRow) -> tuple[str, ...]:
    if row.tokens_per_second is None:
        return f"{row.temperature:g}", f"{row.label}: {row.refusal}"
    return (
        f"{row.temperature:g}",
        row.label + _ways(row),
        _spread(row.tokens_per_second, 1),
        _spread(row.of_plain, 2),
        _spread(row.of_assisted, 2),
        str(row.drafted_tokens or ""),
        "" if row.acceptance_rate is None else f"{row.acceptance_rate:.3f}",
        "" if row.acceptance_length is None else f"{row.acceptance_length:.2f}",
        "" if row.equal_texts is None else f"{row.equal_texts} of {row.tokens_per_second.count}",
    )


def _spread(spread: Spread | None, digits: int) -> str:
    """The median, and the quartiles around it."""
    if spread is None:
        return ""
    return f"{spread.median:.{digits}f} ({spread.lower_quartile:.{digits}f}–{spread.upper_quartile:.{digits}f})"


def _ways(row: PeerRow) -> str:
    """What was chosen, where the label does not say it."""
    others = {way: count for way, count in row.ways.items() if way not in row.label}
    return f" ({', '.join(f'{count} {way}' for way, count in others.items())})" if others else ""


def _caption(setup: Setup) -> str:
    where = f"all of it on {setup.threads} of the cores" if setup.is_pinned else "on all cores"
    return (
        f"threads: peers and off {setup.threads}, verifier {setup.verifier_threads}, drafter {setup.drafter_threads}, "
        f"{where}; {setup.dtype}; {setup.prompts} prompts of {setup.max_tokens} tokens, {setup.repeats} times; "
        f"medians (quartiles) task by task"
    )


def _named(result: PeersResult) -> str:
    """The ratios that have a name, as in the JSON object."""
    names = ("t0_vs_greedy", "t0_vs_assisted", "t1_vs_sampling", "t1_vs_assisted", "off_vs_greedy")
    ratios = {name: getattr(result, name) for name in names}
    return "; ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items() if ratio is not None)
