"""Models made in memory, as an engine takes them."""

from __future__ import annotations

import hashlib

import torch
from transformers import PreTrainedModel

from draftmesh.engine.config import EngineConfig
from draftmesh.engine.loading import LoadedModel, prepare_model
from draftmesh.tokenization import Tokenizer


def adopt_model(model: PreTrainedModel, tokenizer: Tokenizer, config: EngineConfig) -> LoadedModel:
    """The model is moved, rewired and repacked in place; the bytes of its weights are its name."""
    name = hashlib.sha256(tokenizer.digest)
    for weights in model.state_dict().values():
        name.update(weights.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return LoadedModel(prepare_model(model, config), tokenizer, name.digest())
