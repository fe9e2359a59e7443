"""The kernel of ``varlen_paged`` for any device, written from its seam."""

from __future__ import annotations

import torch
from torch import Tensor

from draftmesh.engine.attention.register import AttentionOptions
from draftmesh.engine.attention.varlen_paged import VarlenStep


class PlainKernel:
    """Satisfies :class:`draftmesh.engine.attention.varlen_paged.VarlenKernel`, sequence by sequence and row by row."""

    def __call__(
        self,
        query: Tensor,  # [rows, heads, key_size]
        keys: Tensor,  # [blocks, block size, kv_heads, key_size]
        values: Tensor,  # [blocks, block size, kv_heads, value_size]
        step: VarlenStep,
        options: AttentionOptions,
    ) -> Tensor:  # [rows, heads, value_size]
        """Causality is aligned at the lower right."""
        assert options.softcap is None, "no model that this is used with has one"
        parts = []
        for index, length in enumerate(step.kv_lengths.tolist()):
            own = query[step.query_starts[index] : step.query_starts[index + 1]]
            assert length <= step.most_kv
            own_keys, own_values = (part[step.block_tables[index]].flatten(0, 1) for part in (keys, values))
            for row, one in enumerate(own):
                end = length - len(own) + row + 1
                seen = slice(0 if options.window is None else max(0, end - options.window), end)
                parts.append(_attend(one, own_keys[seen], own_values[seen], options.scaling))
        return torch.stack(parts)


def _attend(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """[heads, value_size], from query [heads, key_size], keys and values [tokens, kv_heads, size]."""
    groups = query.shape[0] // keys.shape[1]
    keys, values = (part.repeat_interleave(groups, dim=1) for part in (keys, values))
    weights = (torch.einsum("hd,lhd->hl", query, keys) * scale).softmax(-1)
    return torch.einsum("hl,lhd->hd", weights, values)
