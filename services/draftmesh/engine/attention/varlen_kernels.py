"""The kernels of ``varlen_paged``: torch's variable-length attention, which is FlashAttention.

Where version 3 is active, it reads keys and values through block tables, and without splitting a sequence, so that no
row depends on what else is in the batch. Version 2 knows no block tables: blocks are gathered first. Both want half
precision.

Never run on a GPU yet, and hence never chosen by itself: what leads to them is proved on a CPU with a kernel of the
same meaning, and ``tests/unit/engine/test_cuda.py`` compares them with the reference where there is a device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import current_flash_attention_impl
from torch.nn.attention.varlen import varlen_attn

from draftmesh.engine.attention.varlen_paged import VarlenKernel, VarlenStep


def flash_kernel() -> VarlenKernel:
    """The one for the FlashAttention that is active; version 3 is, if the process has activated it in torch."""
    return paged_kernel if current_flash_attention_impl() == "FA3" else gathering_kernel


def paged_kernel(
    query: Tensor,  # [rows, heads, size]
    keys: Tensor,  # [blocks, block size, kv_heads, size]
    values: Tensor,  # [blocks, block size, kv_heads, size]
    step: VarlenStep,
    *,
    scale: float,
    window: int | None,
) -> Tensor:  # [rows, heads, size]
    """FlashAttention 3 through block tables."""
    out = varlen_attn(
        query,
        keys,
        values,
        step.query_starts,
        None,
        step.most_rows,
        step.most_kv,
        scale=scale,
        window_size=_window_size(window),
        enable_gqa=True,
        seqused_k=step.kv_lengths,
        block_table=step.block_tables,
        num_splits=1,
    )
    assert isinstance(out, Tensor), "nothing else was asked for"
    return out


def gathering_kernel(
    query: Tensor,  # [rows, heads, size]
    keys: Tensor,  # [blocks, block size, kv_heads, size]
    values: Tensor,  # [blocks, block size, kv_heads, size]
    step: VarlenStep,
    *,
    scale: float,
    window: int | None,
) -> Tensor:  # [rows, heads, size]
    """FlashAttention 2 over whole blocks that are gathered, sequence after sequence."""
    blocks = step.block_tables.flatten()
    starts = torch.arange(len(step.kv_lengths) + 1, dtype=torch.int32, device=query.device)
    out = varlen_attn(
        query,
        keys[blocks].flatten(0, 1),
        values[blocks].flatten(0, 1),
        step.query_starts,
        starts * (step.block_tables.shape[1] * keys.shape[1]),
        step.most_rows,
        step.most_kv,
        scale=scale,
        window_size=_window_size(window),
        enable_gqa=True,
        seqused_k=step.kv_lengths,
    )
    assert isinstance(out, Tensor), "nothing else was asked for"
    return out


def _window_size(window: int | None) -> tuple[int, int]:
    """Positions before and after its own that a row sees."""
    return (-1 if window is None else window - 1, 0)
