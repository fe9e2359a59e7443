"""Linear layers with repacked weights, so that a CPU verifies several rows for the price of one.

A plain float32 matrix product of several rows packs the whole weight into the BLAS library's own layout on every call,
which costs more than the product. oneDNN can be given the packed layout once. From how many rows on that pays is the
machine's affair, and so is whether its kernel, which works on blocks of rows, is faster with a whole block, filled up
with zeros, than with few rows. Milliseconds for a weight that comes from memory:

* With AMX, 5120 x 1024, two threads: plain 1 row 0.67, 3 rows 0.72, 5 rows 1.85, 9 rows 2.36;
  packed 1 row 0.76, 4 rows 0.99, 6 rows 1.05, 9 rows 1.10.
* With AVX-512 alone, 5440 x 1024, one thread: plain 1 row 1.55;
  packed 1 row 1.64, 2 rows 1.91, 6 rows 1.25, 8 rows 1.68.

So each shape's layout is measured (``linear_choice``), and the plain weight is held beside the packed one where it is
faster for few rows. Values differ from the plain layer's by rounding only. bfloat16 is packed in the same way where
the machine multiplies it: with half the bytes, a verification costs little more than half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from draftmesh.engine.linear_layers import LinearPlace, linear_layers, weight_of

_PACKED_FOR_ROWS = 8  # layouts for 4 rows and more are alike; the one for a single row is slow for several


@dataclass(frozen=True, slots=True)
class LinearLayout:
    """How the weight of a linear layer is held."""

    packed: bool = False
    """In oneDNN's layout."""

    least_rows: int = 1
    """The packed product computes at least so many rows."""

    plain_rows: int = 0
    """Up to so many rows are multiplied by a second weight, which is held beside the packed one; 0: there is none."""

    column_major: bool = False
    """The second weight, or the only one that is not packed, has each of its columns in one piece."""


@dataclass(frozen=True, slots=True)
class PackingReport:
    """What became of a model's linear layers."""

    packed_layers: int
    plain_layers: int
    packed_bytes: int
    """Of packed weights and of those held beside them."""


class PackedLinear(nn.Module):
    """y = x Wᵀ + b with W in oneDNN's layout."""

    def __init__(self, weight: Tensor, bias: Tensor | None, least_rows: int = 1) -> None:  # weight: [out, in]
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.dtype = weight.dtype
        self.least_rows = least_rows
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _PACKED_FOR_ROWS)
        self._bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        rows = x.numel() // self.in_features
        if not rows:
            return x.new_empty(*x.shape[:-1], self.out_features)
        if rows >= self.least_rows:
            return self._product(x)
        block = functional.pad(x.reshape(rows, self.in_features), (0, 0, 0, self.least_rows - rows))
        return self._product(block)[:rows].view(*x.shape[:-1], self.out_features)

    def _product(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return y

    def extra_repr(self) -> str:
        """Shape, as in ``nn.Linear``."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self._bias is not None}"


class RowLinear(nn.Module):
    """A packed layer with a second weight that multiplies few rows."""

    def __init__(
        self,
        weight: Tensor,  # [out, in]
        bias: Tensor | None,
        packed: PackedLinear,
        plain_rows: int,
    ) -> None:
        super().__init__()
        self._packed = packed
        self._weight = weight.detach()
        self._bias = None if bias is None else bias.detach()
        self._most_numbers = plain_rows * packed.in_features

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        if x.numel() <= self._most_numbers:
            return functional.linear(x, self._weight, self._bias)
        y: Tensor = self._packed(x)
        return y


Choose = Callable[[Sequence[Tensor]], LinearLayout]
"""From the weights [out, in] of all layers of one shape to their layout."""


def pack_linear_layers(model: nn.Module, choose: Choose) -> PackingReport:
    """Give the linear layers of a CPU model the layouts that ``choose`` says.

    The plain weight is let go with its layer; a weight that an embedding shares stays with the embedding.
    """
    packed = plain = size = 0
    for same in _by_shape(model):
        layout = choose([weight_of(layer) for _, _, layer in same])
        packed += len(same) if layout.packed else 0
        plain += 0 if layout.packed else len(same)
        while same:
            parent, name, layer = same.pop()  # so that no more than one weight is held twice
            size += layer.weight.nbytes * (layout.packed + (layout.plain_rows > 0))
            setattr(parent, name, relaid(layer, layout))
    return PackingReport(packed, plain, size)


def relaid(layer: nn.Linear | Conv1D, layout: LinearLayout) -> nn.Module:
    """The layer in that layout; itself if nothing changes."""
    weight, bias = weight_of(layer), layer.bias
    if layout.packed:
        packed = PackedLinear(weight, bias, layout.least_rows)
        return RowLinear(_laid(weight, layout), bias, packed, layout.plain_rows) if layout.plain_rows else packed
    if isinstance(layer, nn.Linear) and layout.column_major:
        layer.weight = nn.Parameter(column_major(weight), requires_grad=False)
    return layer


def column_major(weight: Tensor) -> Tensor:  # [out, in]
    """The same matrix with each column in one piece: a single row is multiplied faster by it."""
    return weight.t().contiguous().t()


def _laid(weight: Tensor, layout: LinearLayout) -> Tensor:  # [out, in]
    return column_major(weight) if layout.column_major else weight.contiguous()


def can_pack(model: nn.Module) -> bool:
    """Whether this machine and this model's weights allow it: all of one format that its oneDNN multiplies."""
    formats = {torch.float32} if torch._C._has_mkldnn else set()
    if formats and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        formats.add(torch.bfloat16)
    dtypes = {(parameter.dtype, parameter.device.type) for parameter in model.parameters()}
    return dtypes in [{(dtype, "cpu")} for dtype in formats]


def _by_shape(model: nn.Module) -> Iterator[list[LinearPlace]]:
    """The linear layers of each shape, with their parents."""
    groups: dict[torch.Size, list[LinearPlace]] = {}
    for place in linear_layers(model):
        groups.setdefault(weight_of(place[2]).shape, []).append(place)
    while groups:
        yield groups.pop(next(iter(groups)))
