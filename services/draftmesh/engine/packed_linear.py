"""Linear layers with repacked weights, so that a CPU verifies several rows for little more than the price of one.

A plain float32 matrix product of 2 to 8 rows packs the whole weight into the BLAS library's own layout on every call,
which costs more than the product. oneDNN can be given the packed layout once. Small layers lose by its call overhead,
so each shape is measured before it is chosen. Values differ from the plain layer's by rounding only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

_PACKED_FOR_ROWS = 8  # layouts for 4 rows and more are alike; the one for a single row is slow for several
_MAY_COST = 1.25  # of a plain one-row product; small layers cost twice it, large ones the same
_MEASURE_SECONDS = 0.02  # for each shape and each way
_MEASURE_ROUNDS = 5
_MEASURED_WEIGHTS = 1 << 16  # anything smaller is known to lose


@dataclass(frozen=True, slots=True)
class PackingReport:
    """What became of a model's linear layers."""

    packed_layers: int
    plain_layers: int
    packed_bytes: int


class PackedLinear(nn.Module):
    """y = x Wᵀ + b with W in oneDNN's layout."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:  # weight: [out, in], bias: [out]
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _PACKED_FOR_ROWS)
        self._bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        if x.numel() == 0:
            return x.new_empty(*x.shape[:-1], self.out_features)
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return y

    def extra_repr(self) -> str:
        """Shape, as in ``nn.Linear``."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self._bias is not None}"


def pack_linear_layers(
    model: nn.Module, worth_packing: Callable[[Tensor, Tensor | None], bool] | None = None
) -> PackingReport:
    """Replace the linear layers of a float32 CPU model where it pays; ``worth_packing`` decides (default: measures).

    The plain weight is let go with its layer; a weight that an embedding shares stays with the embedding.
    """
    decide = worth_packing or _Measured()
    packed = plain = size = 0
    for parent, name, layer in list(_linear_layers(model)):
        weight = layer.weight.t() if isinstance(layer, Conv1D) else layer.weight
        if not decide(weight, layer.bias):
            plain += 1
            continue
        setattr(parent, name, PackedLinear(weight.contiguous(), layer.bias))
        packed += 1
        size += weight.nbytes
    return PackingReport(packed, plain, size)


def can_pack(model: nn.Module) -> bool:
    """Whether this machine and this model's weights allow it."""
    dtypes = {(parameter.dtype, parameter.device.type) for parameter in model.parameters()}
    return torch._C._has_mkldnn and dtypes == {(torch.float32, "cpu")}


class _Measured:
    """Decides by measurement, once for each shape."""

    def __init__(self) -> None:
        self._decisions: dict[tuple[int, int], bool] = {}

    def __call__(self, weight: Tensor, bias: Tensor | None) -> bool:
        shape = (weight.shape[0], weight.shape[1])
        if shape not in self._decisions:
            self._decisions[shape] = weight.numel() >= _MEASURED_WEIGHTS and _pays(weight.contiguous(), bias)
        return self._decisions[shape]


def _pays(weight: Tensor, bias: Tensor | None) -> bool:
    packed = PackedLinear(weight, bias)
    one, several = (torch.ones(1, rows, weight.shape[1]) for rows in (1, _PACKED_FOR_ROWS))
    with _single_thread():
        plain_one, packed_one = _fastest(lambda: functional.linear(one, weight, bias), lambda: packed(one))
        plain_several, packed_several = _fastest(
            lambda: functional.linear(several, weight, bias), lambda: packed(several)
        )
    return packed_one <= _MAY_COST * plain_one and packed_several < plain_several


@contextmanager
def _single_thread() -> Iterator[None]:
    """One thread's processor time is the one measure that a busy machine hardly disturbs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _fastest(*ways: Callable[[], Tensor]) -> list[float]:
    """The shortest processor time of each way, in seconds; taken in turns, so that disturbances hit all alike."""
    best = [float("inf")] * len(ways)
    deadline = time.thread_time() + _MEASURE_SECONDS * len(ways)
    rounds = 0
    while rounds < _MEASURE_ROUNDS or time.thread_time() < deadline:
        for index, way in enumerate(ways):
            started = time.thread_time()
            way()
            best[index] = min(best[index], time.thread_time() - started)
        rounds += 1
    return best


def _linear_layers(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear | Conv1D]]:
    """Plain linear layers, with their parents: not subclasses, which may compute something else."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if type(child) in (nn.Linear, Conv1D):
                yield parent, name, child
