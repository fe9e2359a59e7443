"""From what everybody handed in to the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from draftmesh.bench.peers.contestant import Served
from draftmesh.bench.peers.ratios import paired_ratio, speeds
from draftmesh.bench.peers.result import OFF, PLAIN, SLEM, TLI, PeerRow, PeersResult, Setup
from draftmesh.bench.peers.turns import Entry


def sum_up(entries: Sequence[Entry], drafting: Mapping[float, str], setup: Setup) -> PeersResult:
    """The result of entries that have done their tasks.

    Args:
        entries: Of all temperatures.
        drafting: By temperature, the label of the entry whose ratios are the first ones.
        setup: Goes along.
    """
    rows = {(entry.label, entry.temperature): _row(entry, entries) for entry in entries}

    def of_plain(label: str | None, temperature: float) -> float | None:
        row = rows.get((label or "", temperature))
        return row.of_plain.median if row and row.of_plain else None

    def of_assisted(label: str | None, temperature: float) -> float | None:
        row = rows.get((label or "", temperature))
        return row.of_assisted.median if row and row.of_assisted else None

    return PeersResult(
        t0_vs_greedy=of_plain(drafting.get(0.0), 0.0),
        t0_vs_assisted=of_assisted(drafting.get(0.0), 0.0),
        t1_vs_sampling=of_plain(drafting.get(1.0), 1.0),
        t1_vs_assisted=of_assisted(drafting.get(1.0), 1.0),
        off_vs_greedy=of_plain(OFF, 0.0),
        drafting_methods={f"{temperature:g}": label for temperature, label in drafting.items()},
        setup=setup,
        rows=tuple(rows.values()),
    )


def _row(entry: Entry, entries: Sequence[Entry]) -> PeerRow:
    served, temperature = entry.served, entry.temperature
    if not served:
        return PeerRow(entry.label, temperature, refusal=entry.refusal)
    alike = {other.label: other.served for other in entries if other.temperature == temperature}
    plain, assisted = alike.get(PLAIN, []), alike.get(TLI if temperature > 0 else SLEM, [])
    drafted = sum(one.drafted_tokens for one in served)
    accepted, rounds = sum(one.accepted_tokens for one in served), sum(one.rounds for one in served)
    return PeerRow(
        entry.label,
        temperature,
        ways=dict(Counter(one.way for one in served if one.way)),
        tokens=sum(len(one.ids) for one in served),
        tokens_per_second=speeds(served),
        drafted_tokens=drafted,
        acceptance_rate=accepted / drafted if drafted else None,
        acceptance_length=1 + accepted / rounds if drafted else None,
        of_plain=paired_ratio(served, plain) if plain else None,
        of_assisted=paired_ratio(served, assisted) if assisted else None,
        equal_texts=_equal_texts(served, plain) if plain and temperature == 0 else None,
    )


def _equal_texts(served: Sequence[Served], plain: Sequence[Served]) -> int:
    return sum(one.ids == other.ids for one, other in zip(served, plain, strict=True))
