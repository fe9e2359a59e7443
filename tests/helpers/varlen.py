"""torch's ``varlen_attn`` for any device, written from its documentation: only what this project asks of it."""

from __future__ import annotations

import torch
from torch import Tensor


def plain_varlen_attn(  # noqa: PLR0917 (torch's signature)
    query: Tensor,  # [rows, heads, size]
    key: Tensor,  # [tokens, kv_heads, size], or with a block table [blocks, block size, kv_heads, size]
    value: Tensor,  # like key
    cu_seq_q: Tensor,  # [sequences + 1]
    cu_seq_k: Tensor | None,  # [sequences + 1]; None with a block table
    max_q: int,
    max_k: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
    seqused_k: Tensor,  # [sequences]
    block_table: Tensor | None = None,  # [sequences, most blocks]
    num_splits: int | None = None,
) -> Tensor:  # [rows, heads, size]
    """Sequence by sequence and row by row; causality is aligned at the lower right."""
    del num_splits  # how the work is cut has no say in the result
    before, after = window_size
    assert after == 0, "rows must not look ahead"
    assert enable_gqa
    assert all(starts is None or starts.dtype == torch.int32 for starts in (cu_seq_q, cu_seq_k, block_table))
    parts = []
    for index, length in enumerate(seqused_k.tolist()):
        own = query[cu_seq_q[index] : cu_seq_q[index + 1]]
        assert len(own) <= max_q
        assert length <= max_k
        keys, values = (_of_sequence(part, index, cu_seq_k, block_table) for part in (key, value))
        for row, one in enumerate(own):
            end = length - len(own) + row + 1
            seen = slice(0 if before == -1 else max(0, end - 1 - before), end)
            parts.append(_attend(one, keys[seen], values[seen], scale))
    return torch.stack(parts)


def _of_sequence(part: Tensor, index: int, starts: Tensor | None, tables: Tensor | None) -> Tensor:
    """[tokens, kv_heads, size]."""
    if tables is not None:
        return part[tables[index]].flatten(0, 1)
    assert starts is not None
    return part[starts[index] : starts[index + 1]]


def _attend(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """[heads, size], from query [heads, size] and keys and values [tokens, kv_heads, size]."""
    groups = query.shape[0] // keys.shape[1]
    keys, values = (part.repeat_interleave(groups, dim=1) for part in (keys, values))
    weights = (torch.einsum("hd,lhd->hl", query, keys) * scale).softmax(-1)
    return torch.einsum("hl,lhd->hd", weights, values)
