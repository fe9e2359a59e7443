"""The only file that calls the model: packed rows in, logits of the wanted rows out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from draftmesh.engine.attention.metadata import step_metadata
from draftmesh.engine.attention.register import CONTEXT_KEYWORD, AttentionContext
from draftmesh.engine.attention.sdpa_ragged import SdpaRagged
from draftmesh.engine.kv_storage import KvStorage
from draftmesh.engine.packing import PackedRows


class Runner(Protocol):
    """Computes one step's rows; the engine's seam to tensors."""

    def run(self, batch: Sequence[PackedRows]) -> Tensor:
        """Store the KV of all rows; logits [wanted rows, vocab] in float32, sequence after sequence."""


class ModelRunner:
    """A transformers model over paged KV."""

    def __init__(self, model: PreTrainedModel, storage: KvStorage, block_size: int) -> None:
        self._model = model
        self._storage = storage
        self._block_size = block_size
        self._dtype = storage.layers[0].keys.dtype

    def run(self, batch: Sequence[PackedRows]) -> Tensor:
        """Store the KV of all rows; logits [wanted rows, vocab] in float32, sequence after sequence."""
        metadata = step_metadata(batch, self._block_size, self._storage.device)
        attention = SdpaRagged(self._storage, metadata, self._dtype)
        ids, positions, wanted = _flatten(batch)
        return forward(self._model, ids, positions, wanted, attention)


def forward(
    model: PreTrainedModel, ids: list[int], positions: list[int], wanted: list[int], attention: AttentionContext
) -> Tensor:
    """One forward of a packed row; logits [len(wanted), vocab] in float32 of the rows that are ``wanted``."""
    device = model.device
    output = model(
        input_ids=torch.tensor([ids], device=device),
        position_ids=torch.tensor([positions], device=device),
        logits_to_keep=torch.tensor(wanted, dtype=torch.int64, device=device),
        use_cache=False,
        **{CONTEXT_KEYWORD: attention},
    )
    logits: Tensor = output.logits[0]
    return logits.float()


def _flatten(batch: Sequence[PackedRows]) -> tuple[list[int], list[int], list[int]]:
    """Ids and positions of all rows, and the indices of those whose logits are wanted."""
    ids: list[int] = []
    positions: list[int] = []
    wanted: list[int] = []
    for rows in batch:
        ids.extend(rows.token_ids)
        positions.extend(range(rows.start, rows.end))
        wanted.extend(range(len(ids) - rows.wanted, len(ids)))
    return ids, positions, wanted
