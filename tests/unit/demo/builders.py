"""Small models and tokenizers for the demo tests."""

from __future__ import annotations

from pathlib import Path

from transformers import LlamaForCausalLM

from draftmesh.demo.architecture import Shape, new_llama
from draftmesh.demo.families import FAMILIES, save_tokenizer
from draftmesh.tokenization import Tokenizer, load_tokenizer

TEXTS = [
    "def load(path):\n    with open(path) as file:\n        return file.read()\n",
    "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n",
    "for name in names:\n    if name == 'é':\n        print(name, len(name))\n\n\n",
] * 20

SMALL_SHAPE = Shape(hidden_size=32, layers=3, intermediate_size=48, head_size=16)


def small_tokenizer(name: str, folder: Path, *, vocabulary_size: int = 420) -> Tokenizer:
    """A tokenizer of the family of demo model `name`, trained on `TEXTS`, saved in `folder`."""
    family = FAMILIES[name]
    save_tokenizer(family.train(TEXTS, vocabulary_size), family, folder, 64)
    return load_tokenizer(folder)


def small_llama(vocabulary_size: int = 96, *, seed: int = 0) -> LlamaForCausalLM:
    """A random Llama of `SMALL_SHAPE`."""
    return new_llama(SMALL_SHAPE, vocabulary_size=vocabulary_size, end_of_text_id=0, seed=seed).eval()
