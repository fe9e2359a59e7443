"""A drafter that knows nothing: a model's configuration and tokenizer with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_model
from transformers import AutoConfig, AutoModelForCausalLM

from draftmesh.tokenization.hub import model_folder

_TOKENIZER_FILES = ("*.json", "*.jinja", "*.model")


def write_random_drafter(source: str, folder: Path, *, seed: int) -> Path:
    """Write a model like ``source`` (a folder or hub name), but with seeded random weights, to ``folder``.

    The weights are drawn as the model's own code draws them before training.

    Raises:
        ConfigError: there is no such model.
    """
    known = model_folder(source, _TOKENIZER_FILES)
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in _TOKENIZER_FILES:
        for file in known.glob(pattern):
            shutil.copy(file, folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(known), dtype=torch.float32)
    save_model(model, str(folder / "model.safetensors"), metadata={"format": "pt"})
    return folder
