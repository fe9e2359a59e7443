"""The linear layers of a model, wherever they are and whatever they are called."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

LinearPlace = tuple[nn.Module, str, nn.Linear | Conv1D]
"""A layer behind the module that holds it, and its name there."""


def linear_layers(model: nn.Module) -> Iterator[LinearPlace]:
    """Plain linear layers: not subclasses, which may compute something else."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if type(child) in (nn.Linear, Conv1D):
                yield parent, name, child


def weight_of(layer: nn.Linear | Conv1D) -> Tensor:  # [out, in]
    """The weight, which GPT-2's layers hold transposed."""
    weight: Tensor = layer.weight.t() if isinstance(layer, Conv1D) else layer.weight
    return weight
