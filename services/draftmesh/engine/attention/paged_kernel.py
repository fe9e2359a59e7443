"""The kernel of ``varlen_paged``: what the programs of ``triton_kernels`` are launched with.

The host looks at no value on the device, so that a step can be recorded as a graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from draftmesh.engine.attention import triton_kernels
from draftmesh.engine.attention.register import AttentionOptions
from draftmesh.engine.attention.varlen_paged import VarlenStep

_FEW_ROWS = 128
"""Steps with more have tiles enough without cutting sequences."""

_SPLITS = 16
_LEAST = 16  # numbers that a matrix product on a GPU has at least, in each direction


@dataclass(frozen=True, slots=True)
class PagedKernel:
    """Satisfies :class:`draftmesh.engine.attention.varlen_paged.VarlenKernel`."""

    def __call__(
        self,
        query: Tensor,  # [rows, heads, key_size]
        keys: Tensor,  # [blocks, block size, kv_heads, key_size]
        values: Tensor,  # [blocks, block size, kv_heads, value_size]
        step: VarlenStep,
        options: AttentionOptions,
    ) -> Tensor:  # [rows, heads, value_size]
        """Two launches for all sequences."""
        rows, heads = query.shape[:2]
        tiles = _Tiles.of(query)
        splits = min(_SPLITS, triton.cdiv(step.most_kv, tiles.kv)) if rows <= _FEW_ROWS else 1
        parts = query.new_empty(rows, heads, splits, values.shape[3], dtype=torch.float32)
        peaks, sums = query.new_empty(2, rows, heads, splits, dtype=torch.float32).unbind()
        _attend(query, keys, values, step, options=options, results=(parts, peaks, sums), tiles=tiles)
        out = query.new_empty(rows, heads, values.shape[3])
        triton_kernels.join[rows, heads](
            parts, peaks, sums, out, splits, SPLITS=triton.next_power_of_2(splits), **_sizes(values, "VALUE_SIZE")
        )
        return out


@dataclass(frozen=True, slots=True)
class _Tiles:
    """What a program works on at a time."""

    queries: int
    """Rows, each with the heads of a group."""

    kv: int
    """Tokens."""

    @classmethod
    def of(cls, query: Tensor) -> _Tiles:
        """Small enough for the shared memory of any card, whose tensor cores want large ones of half precision."""
        if query.dtype.itemsize > 2:
            return cls(_LEAST, 32)
        return cls(_LEAST if len(query) <= _FEW_ROWS else 64, 64)


def _attend(
    query: Tensor,  # [rows, heads, key_size]
    keys: Tensor,  # [blocks, block size, kv_heads, key_size]
    values: Tensor,  # [blocks, block size, kv_heads, value_size]
    step: VarlenStep,
    *,
    options: AttentionOptions,
    results: tuple[Tensor, Tensor, Tensor],  # [rows, heads, splits, value_size], and twice [rows, heads, splits]
    tiles: _Tiles,
) -> None:
    query = query if query.stride(2) == 1 else query.contiguous()
    rows, heads, kv_heads = query.shape[0], query.shape[1], keys.shape[2]
    groups, sequences = heads // kv_heads, len(step.kv_lengths)
    tile = max(tiles.queries, triton.next_power_of_2(groups))
    tile_rows = tile // groups
    splits = results[0].shape[2]
    triton_kernels.attend[rows // tile_rows + sequences, kv_heads, splits](
        query,
        keys,
        values,
        *results,
        step.query_starts,
        step.kv_lengths,
        step.block_tables,
        sequences,
        splits,
        options.scaling,
        options.softcap or 0.0,
        options.window or 0,
        *query.stride()[:2],
        *keys.stride()[:3],
        *values.stride()[:3],
        step.block_tables.stride(0),
        BLOCK_SIZE=keys.shape[1],
        GROUPS=groups,
        TILE=tile,
        TILE_ROWS=tile_rows,
        TILE_KV=tiles.kv,
        HAS_SOFTCAP=options.softcap is not None,
        HAS_WINDOW=options.window is not None,
        **_sizes(keys, "KEY_SIZE"),
        **_sizes(values, "VALUE_SIZE"),
    )


def _sizes(stored: Tensor, name: str) -> dict[str, int]:
    """A head's size, and the power of two that a tile of heads is as wide as."""
    size = stored.shape[3]
    return {name: size, f"{name}_PADDED": max(_LEAST, triton.next_power_of_2(size))}
