"""The tensors behind the block pool: one pair per layer, a slot for each token of each block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class KvShape:
    """What one layer's attention stores for a token. Key and value may differ in size (multi-head latent attention)."""

    kv_heads: int
    key_size: int
    value_size: int

    @property
    def size(self) -> int:
        """Numbers stored for one token."""
        return self.kv_heads * (self.key_size + self.value_size)


@dataclass(frozen=True, slots=True)
class LayerKv:
    """Keys and values of one layer, head by head: each reads what it attends to in one stretch."""

    keys: Tensor  # [kv_heads, slots, key_size]
    values: Tensor  # [kv_heads, slots, value_size]

    @staticmethod
    def allocate(shape: KvShape, num_slots: int, dtype: torch.dtype, device: torch.device) -> LayerKv:
        """Zeros."""
        keys = torch.zeros(shape.kv_heads, num_slots, shape.key_size, dtype=dtype, device=device)
        values = torch.zeros(shape.kv_heads, num_slots, shape.value_size, dtype=dtype, device=device)
        return LayerKv(keys, values)


class KvStorage:
    """KV of every layer for ``num_slots`` tokens; slot = block * block size + offset in the block."""

    def __init__(self, shapes: tuple[KvShape, ...], num_slots: int, dtype: torch.dtype, device: torch.device) -> None:
        self.layers = tuple(LayerKv.allocate(shape, num_slots, dtype, device) for shape in shapes)
        self.num_slots = num_slots
        self.device = device
        self.bytes = sum(t.nbytes for layer in self.layers for t in (layer.keys, layer.values))
