"""Where the rows of one step lie: plain numbers and index tensors, shared by all layers of the forward."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from draftmesh.engine.packing import PackedRows


@dataclass(frozen=True, slots=True)
class RowSpan:
    """The rows of one sequence in the pack, and the slots of everything they attend to."""

    start: int
    """First row in the pack."""

    count: int
    """Rows."""

    kv_length: int
    """Tokens to attend to: the last row sees all of them, the first one ``kv_length - count + 1``."""

    first_slot: int
    """Slot of the sequence's first token, when its slots follow one another; -1 otherwise."""

    slots: Tensor | None  # [kv_length] int64; None when the slots follow one another
    """Slots of the tokens by position."""

    @property
    def end(self) -> int:
        """The row behind the last."""
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class StepMetadata:
    """All row spans of a step."""

    spans: tuple[RowSpan, ...]
    rows: int
    write_slots: Tensor | None  # [rows] int64; None for a single sequence whose slots follow one another


def step_metadata(batch: Sequence[PackedRows], block_size: int, device: torch.device) -> StepMetadata:
    """Lay out a batch, sequence after sequence."""
    spans: list[RowSpan] = []
    start = 0
    for rows in batch:
        spans.append(_span(rows, start, block_size, device))
        start += rows.count
    single_stretch = len(spans) == 1 and spans[0].slots is None
    write_slots = None if single_stretch else torch.cat([_write_slots(span, device) for span in spans])
    return StepMetadata(tuple(spans), start, write_slots)


def _span(rows: PackedRows, start: int, block_size: int, device: torch.device) -> RowSpan:
    length = rows.end
    table = rows.block_table[: -(-length // block_size)]
    if table[-1] - table[0] == len(table) - 1 and _follows(table):
        return RowSpan(start, rows.count, length, table[0] * block_size, None)
    blocks = torch.tensor(table, device=device)
    slots = (blocks[:, None] * block_size + torch.arange(block_size, device=device)).view(-1)[:length]
    return RowSpan(start, rows.count, length, -1, slots)


def _follows(table: Sequence[int]) -> bool:
    return all(b == a + 1 for a, b in itertools.pairwise(table))


def _write_slots(span: RowSpan, device: torch.device) -> Tensor:
    if span.slots is not None:
        return span.slots[-span.count :]
    end = span.first_slot + span.kv_length
    return torch.arange(end - span.count, end, device=device)
