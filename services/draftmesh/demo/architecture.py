"""Shapes of the demo models: small Llamas that one CPU core can train and run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from transformers import LlamaConfig, LlamaForCausalLM

CONTEXT_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Shape:
    """Width and depth of a small Llama with tied embeddings."""

    hidden_size: int
    layers: int
    intermediate_size: int
    head_size: int = 64


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One model to train; its name is also its tokenizer family's."""

    name: str
    vocabulary_size: int
    shape: Shape


_SHAPE = Shape(hidden_size=256, layers=4, intermediate_size=640)
TARGET = ModelPlan("target", 3072, _SHAPE)
DRAFTERS = (
    ModelPlan("drafter_sentencepiece", 2560, replace(_SHAPE, layers=3)),
    ModelPlan("drafter_unigram", 4096, _SHAPE),
)


def new_llama(shape: Shape, *, vocabulary_size: int, end_of_text_id: int, seed: int) -> LlamaForCausalLM:
    """A Llama of `shape` with seeded random weights."""
    heads = shape.hidden_size // shape.head_size
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=shape.head_size,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end_of_text_id,
        pad_token_id=None,
    )
    torch.manual_seed(seed)
    return LlamaForCausalLM(config)
