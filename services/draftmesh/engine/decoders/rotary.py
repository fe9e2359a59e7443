"""Rotary positions by table: cosines and sines of every position so far, made by the model's own module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_FIRST_POSITIONS = 512


class RotaryTable:
    """Rotates pairs of a head's halves (Su et al. 2021, arXiv 2104.09864, in the layout of Llama)."""

    def __init__(self, module: nn.Module, context_tokens: int, dtype: torch.dtype, device: torch.device) -> None:
        """Ask ``module`` for no position from ``context_tokens`` on."""
        self._module = module
        self._context_tokens = context_tokens
        self._like = torch.empty(0, dtype=dtype, device=device)
        self._table = self._computed(_FIRST_POSITIONS)

    @property
    def size(self) -> int:
        """Numbers of a head that are rotated."""
        return self._table.shape[-1]

    def at(self, positions: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Factors of a head and of its swapped halves, each [rows, 1, size]; for :func:`rotate`."""
        if (last := max(positions)) >= len(self._table):
            self._table = self._computed(2 * last)
        cosines, sines = rows_of(self._table, positions).unbind(1)
        return cosines, sines

    def anywhere(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The same for ``positions`` [rows] on the device, which nobody looks at: the table holds the whole context."""
        if len(self._table) < self._context_tokens:
            self._table = self._computed(self._context_tokens)
        cosines, sines = self._table.index_select(0, positions).unbind(1)
        return cosines, sines

    def _computed(self, positions: int) -> Tensor:
        """[positions, 2, 1, size]; the sines of the first half are negative."""
        position_ids = torch.arange(min(positions, self._context_tokens), device=self._like.device).unsqueeze(0)
        cosines, sines = self._module(self._like, position_ids)
        half = sines.shape[-1] // 2
        signed = torch.cat((-sines[..., :half], sines[..., half:]), dim=-1)
        return torch.stack((cosines[0], signed[0]), dim=1).unsqueeze(2)


def rotate(
    heads: Tensor,  # [rows, heads, size]
    cosines: Tensor,  # [rows, 1, size]
    sines: Tensor,  # [rows, 1, size]
) -> Tensor:  # [rows, heads, size]
    """``heads`` turned by their positions."""
    return torch.addcmul(heads * cosines, heads.roll(heads.shape[-1] // 2, -1), sines)


def rows_of(table: Tensor, indices: Sequence[int]) -> Tensor:
    """``table[indices]``; a row alone is a view."""
    if len(indices) == 1:
        return table[indices[0] : indices[0] + 1]
    return table.index_select(0, torch.tensor(indices, dtype=torch.int64, device=table.device))
