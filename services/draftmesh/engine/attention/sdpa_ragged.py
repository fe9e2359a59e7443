"""Ragged attention by torch's scaled dot product, one call a sequence: the CPU's backend, and the reference anywhere.

A loop over sequences computes no score between strangers; a block-diagonal mask over the pack would, and was measured
6 to 10 times slower. Keys and values are read where they lie when a sequence's blocks follow one another, else
gathered. Query heads that share a key head are folded into rows, so keys are never repeated. Sliding windows are a
matter of the mask: the KV of a sliding layer is kept whole, since a ring buffer could not take drafts back.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from draftmesh.engine.attention.metadata import RowSpan, StepMetadata, step_metadata
from draftmesh.engine.attention.register import AttentionOptions
from draftmesh.engine.kv_storage import KvStorage, LayerKv
from draftmesh.engine.packing import PackedRows


class SdpaRagged:
    """Satisfies :class:`draftmesh.engine.attention.backend.AttentionBackend`."""

    def __init__(self, storage: KvStorage, block_size: int) -> None:
        self._storage = storage
        self._block_size = block_size
        self._dtype = storage.layers[0].keys.dtype

    def context(self, batch: Sequence[PackedRows]) -> RaggedContext:
        """Lay out a step."""
        metadata = step_metadata(batch, self._block_size, self._storage.device)
        return RaggedContext(self._storage, metadata, self._dtype)


class RaggedContext:
    """The attention context of one step."""

    def __init__(self, storage: KvStorage, metadata: StepMetadata, dtype: torch.dtype) -> None:
        self._storage = storage
        self._metadata = metadata
        self._dtype = dtype
        self._masks: dict[tuple[int, int, int | None, int], Tensor | None] = {}

    def attend(
        self,
        layer: int,
        query: Tensor,  # [rows, heads, key_size]
        key: Tensor,  # [rows, kv_heads, key_size]
        value: Tensor,  # [rows, kv_heads, value_size]
        options: AttentionOptions,
    ) -> Tensor:  # [rows, heads, value_size]
        """Store the rows' keys and values, then attend, sequence by sequence."""
        kv = self._storage.layers[layer]
        self._write(kv, key, value)
        spans = self._metadata.spans
        if len(spans) == 1:
            return self._attend_span(kv, spans[0], query, options)
        parts = [self._attend_span(kv, span, query[span.start : span.end], options) for span in spans]
        return torch.cat(parts)

    def _write(self, kv: LayerKv, key: Tensor, value: Tensor) -> None:
        slots = self._metadata.write_slots
        if slots is not None:
            kv.keys.index_copy_(1, slots, key.transpose(0, 1))
            kv.values.index_copy_(1, slots, value.transpose(0, 1))
            return
        span = self._metadata.spans[0]
        start = span.first_slot + span.kv_length - span.count
        kv.keys.narrow(1, start, span.count).copy_(key.transpose(0, 1))
        kv.values.narrow(1, start, span.count).copy_(value.transpose(0, 1))

    def _attend_span(self, kv: LayerKv, span: RowSpan, query: Tensor, options: AttentionOptions) -> Tensor:
        """From the span's queries [span rows, heads, key_size] to [span rows, heads, value_size]."""
        hidden = 0  # leading tokens outside every row's window
        if options.window is not None:
            hidden = max(0, span.kv_length - span.count + 1 - options.window)
        keys, values = _read(kv.keys, span, hidden), _read(kv.values, span, hidden)
        rows, heads, size = query.shape
        by_head = query.transpose(0, 1).unsqueeze(0)
        groups = heads // keys.shape[1]
        folded = by_head if groups == 1 else by_head.reshape(1, keys.shape[1], groups * rows, size)
        mask = self._mask(rows, span.kv_length - hidden, options.window, groups)
        out = _attention(folded, keys, values, mask, options)
        return (out[0] if groups == 1 else out.reshape(heads, rows, -1)).transpose(0, 1)

    def _mask(self, rows: int, kv_length: int, window: int | None, groups: int) -> Tensor | None:
        """[groups * rows, kv_length], 0 where a row may look and -inf elsewhere; None: every row sees everything."""
        if rows == 1:
            return None
        key = (rows, kv_length, window, groups)
        if key not in self._masks:
            self._masks[key] = self._new_mask(rows, kv_length, window).repeat(groups, 1)
        return self._masks[key]

    def _new_mask(self, rows: int, kv_length: int, window: int | None) -> Tensor:
        device = self._storage.device
        last = kv_length - rows  # the first row's own position; causality is aligned at the lower right
        allowed = torch.ones(rows, kv_length, dtype=torch.bool, device=device).tril(last)
        if window is not None:
            allowed = allowed.triu(last - window + 1)
        mask = torch.zeros(rows, kv_length, dtype=self._dtype, device=device)
        return mask.masked_fill_(~allowed, float("-inf"))


def _read(stored: Tensor, span: RowSpan, hidden: int) -> Tensor:
    """[1, kv_heads, kv_length - hidden, size], from stored [kv_heads, slots, size]."""
    if span.slots is None:
        return stored.narrow(1, span.first_slot + hidden, span.kv_length - hidden).unsqueeze(0)
    return stored.index_select(1, span.slots[hidden:]).unsqueeze(0)


def _attention(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, options: AttentionOptions) -> Tensor:
    if options.softcap is None:
        return functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=options.scaling)
    scores = torch.tanh(query @ keys.transpose(2, 3) * (options.scaling / options.softcap)) * options.softcap
    if mask is not None:
        scores = scores + mask
    return scores.softmax(-1, dtype=torch.float32).to(query.dtype) @ values
