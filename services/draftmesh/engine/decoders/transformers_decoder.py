"""Any model of transformers by its own forward; attention is ours, by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from draftmesh.engine.attention.register import CONTEXT_KEYWORD, AttentionContext


class TransformersDecoder:
    """A model whose attention is registered; satisfies ``engine.decoders.decoder.RecordableDecoder``."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the hidden states."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    def logits(
        self, ids: Sequence[int], positions: Sequence[int], wanted: Sequence[int], attention: AttentionContext
    ) -> Tensor:
        """One forward of a packed row; [len(wanted), vocab] in float32."""
        device = self.device
        output = self.model(
            input_ids=torch.tensor([ids], device=device),
            position_ids=torch.tensor([positions], device=device),
            logits_to_keep=torch.tensor(wanted, dtype=torch.int64, device=device),
            use_cache=False,
            **{CONTEXT_KEYWORD: attention},
        )
        logits: Tensor = output.logits[0]
        return logits.float()

    def all_logits(
        self,
        ids: Tensor,  # [rows] int64
        positions: Tensor,  # [rows] int64
        attention: AttentionContext,
    ) -> Tensor:  # [rows, vocab] in float32
        """The same of all rows."""
        rows = {"input_ids": ids.unsqueeze(0), "position_ids": positions.unsqueeze(0)}
        logits: Tensor = self.model(**rows, use_cache=False, **{CONTEXT_KEYWORD: attention}).logits[0]
        return logits.float()
