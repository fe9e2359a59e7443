"""Attention for a GPU: one kernel call a layer for all sequences, over the paged KV."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from draftmesh.engine.attention.register import AttentionOptions
from draftmesh.engine.kv_storage import KvStorage
from draftmesh.engine.packing import PackedRows


@dataclass(frozen=True, slots=True)
class VarlenStep:
    """Where the rows of a step and their KV lie."""

    write_slots: Tensor  # [rows] int64
    query_starts: Tensor  # [sequences + 1] int32
    kv_lengths: Tensor  # [sequences] int32
    most_kv: int
    """Tokens that a sequence attends to."""

    block_tables: Tensor  # [sequences, most blocks of one] int32; filled up with 0


class VarlenKernel(Protocol):
    """Causal attention of ragged rows, aligned at the lower right."""

    def __call__(
        self,
        query: Tensor,  # [rows, heads, key_size]
        keys: Tensor,  # [blocks, block size, kv_heads, key_size]
        values: Tensor,  # [blocks, block size, kv_heads, value_size]
        step: VarlenStep,
        options: AttentionOptions,
    ) -> Tensor:  # [rows, heads, value_size]
        """Attend; the host looks at no value on the device, so that it can be recorded."""


class VarlenPaged:
    """Satisfies :class:`draftmesh.engine.attention.backend.AttentionBackend`."""

    def __init__(self, storage: KvStorage, block_size: int, kernel: VarlenKernel) -> None:
        self.block_size = block_size
        self._storage = storage
        self._kernel = kernel

    def context(self, batch: Sequence[PackedRows]) -> VarlenContext:
        """Lay out a step."""
        return self.context_of(varlen_step(batch, self.block_size, self._storage.device))

    def context_of(self, step: VarlenStep) -> VarlenContext:
        """Of a step that is laid out already."""
        return VarlenContext(self._storage, self.block_size, step, self._kernel)


class VarlenContext:
    """The attention context of one step."""

    def __init__(self, storage: KvStorage, block_size: int, step: VarlenStep, kernel: VarlenKernel) -> None:
        self._storage = storage
        self._block_size = block_size
        self._step = step
        self._kernel = kernel

    def attend(
        self,
        layer: int,
        query: Tensor,  # [rows, heads, key_size]
        key: Tensor,  # [rows, kv_heads, key_size]
        value: Tensor,  # [rows, kv_heads, value_size]
        options: AttentionOptions,
    ) -> Tensor:  # [rows, heads, value_size]
        """Store the rows' keys and values, then attend."""
        kv = self._storage.layers[layer]
        kv.keys.index_copy_(1, self._step.write_slots, key.transpose(0, 1))
        kv.values.index_copy_(1, self._step.write_slots, value.transpose(0, 1))
        return self._kernel(query, self._blocks(kv.keys), self._blocks(kv.values), self._step, options)

    def _blocks(self, stored: Tensor) -> Tensor:
        """[blocks, block size, kv_heads, size] as a view of stored [kv_heads, slots, size]."""
        return stored.view(stored.shape[0], -1, self._block_size, stored.shape[2]).permute(1, 2, 0, 3)


def varlen_step(batch: Sequence[PackedRows], block_size: int, device: torch.device) -> VarlenStep:
    """Lay out a batch, sequence after sequence."""
    tables = [rows.block_table[: -(-rows.end // block_size)] for rows in batch]
    most_blocks = max(map(len, tables))
    slots = [
        table[position // block_size] * block_size + position % block_size
        for rows, table in zip(batch, tables, strict=True)
        for position in range(rows.start, rows.end)
    ]
    starts = list(itertools.accumulate((rows.count for rows in batch), initial=0))
    filled = [[*table, *[0] * (most_blocks - len(table))] for table in tables]
    return VarlenStep(
        write_slots=torch.tensor(slots, device=device),
        query_starts=torch.tensor(starts, dtype=torch.int32, device=device),
        kv_lengths=torch.tensor([rows.end for rows in batch], dtype=torch.int32, device=device),
        most_kv=max(rows.end for rows in batch),
        block_tables=torch.tensor(filled, dtype=torch.int32, device=device),
    )
