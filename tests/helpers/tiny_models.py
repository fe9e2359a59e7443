"""Tiny random models of every family that the engine must run, seeded; they answer in milliseconds."""

from __future__ import annotations

import copy

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)

VOCABULARY_SIZE = 96
CONTEXT_TOKENS = 256

_COMMON = {
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT_TOKENS,
    "initializer_range": 0.3,  # the default makes every token as likely as any other
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": 0,
}

TINY_CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**_COMMON),
    "qwen3": Qwen3Config(**_COMMON),
    "mistral": MistralConfig(**_COMMON, sliding_window=7),
    "gemma2": Gemma2Config(
        **_COMMON,
        sliding_window=6,
        query_pre_attn_scalar=8,
        attn_logit_softcapping=5.0,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "gemma3": Gemma3TextConfig(
        **_COMMON,
        sliding_window=5,
        query_pre_attn_scalar=8,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
    ),
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY_SIZE,
        n_positions=CONTEXT_TOKENS,
        n_embd=32,
        n_layer=3,
        n_head=4,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    ),
}
"""One configuration a family: grouped-query attention, sliding windows, soft caps, learned positions."""


def tiny_model(family: str, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A fresh random model with a configuration of its own, on its own (eager) attention."""
    return random_model(TINY_CONFIGS[family], seed=seed, dtype=dtype)


def random_model(
    config: PreTrainedConfig, *, seed: int = 0, dtype: torch.dtype = torch.float32, attention: str = "eager"
) -> PreTrainedModel:
    """A model of ``config`` with seeded random weights."""
    torch.manual_seed(seed)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(
        copy.deepcopy(config), dtype=dtype, attn_implementation=attention
    )
    return model.eval()


def whole_logits(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """Logits [tokens, vocab] of one plain transformers forward."""
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return logits
