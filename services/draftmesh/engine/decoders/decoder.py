"""The seam between the engine and a model's forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from draftmesh.engine.attention.register import AttentionContext


class Decoder(Protocol):
    """A causal language model over packed rows. Called in inference mode."""

    @property
    def device(self) -> torch.device:
        """Where its weights are."""

    @property
    def dtype(self) -> torch.dtype:
        """Number format of its hidden states and its KV."""

    def logits(
        self, ids: Sequence[int], positions: Sequence[int], wanted: Sequence[int], attention: AttentionContext
    ) -> Tensor:
        """One forward of a packed row.

        Args:
            ids: The token of each row.
            positions: Its place in its sequence.
            wanted: Indices of the rows that are to give logits, rising.
            attention: Called once by every layer.

        Returns: [len(wanted), vocab] in float32.
        """


@runtime_checkable
class RecordableDecoder(Decoder, Protocol):
    """One whose forward can be recorded and replayed."""

    def all_logits(
        self,
        ids: Tensor,  # [rows] int64
        positions: Tensor,  # [rows] int64
        attention: AttentionContext,
    ) -> Tensor:  # [rows, vocab] in float32
        """As :meth:`logits`, of all rows, from tensors on its device; the host does not look at their values."""
