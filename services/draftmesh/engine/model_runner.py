"""The only file that runs the model: packed rows in, logits of the wanted rows out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from draftmesh.engine.attention.backend import AttentionBackend
from draftmesh.engine.decoders.decoder import Decoder
from draftmesh.engine.packing import PackedRows


class Runner(Protocol):
    """Computes one step's rows; the engine's seam to tensors."""

    def run(self, batch: Sequence[PackedRows]) -> Tensor:
        """Store the KV of all rows; logits [wanted rows, vocab] in float32, sequence after sequence."""


class ModelRunner:
    """A model over paged KV."""

    def __init__(self, decoder: Decoder, attention: AttentionBackend) -> None:
        self._decoder = decoder
        self._attention = attention

    def run(self, batch: Sequence[PackedRows]) -> Tensor:
        """Store the KV of all rows; logits [wanted rows, vocab] in float32, sequence after sequence."""
        ids, positions, wanted = flatten(batch)
        return self._decoder.logits(ids, positions, wanted, self._attention.context(batch))


def flatten(batch: Sequence[PackedRows]) -> tuple[list[int], list[int], list[int]]:
    """Ids and positions of all rows, and the indices of those whose logits are wanted."""
    ids: list[int] = []
    positions: list[int] = []
    wanted: list[int] = []
    for rows in batch:
        ids.extend(rows.token_ids)
        positions.extend(range(rows.start, rows.end))
        wanted.extend(range(len(ids) - rows.wanted, len(ids)))
    return ids, positions, wanted
