"""The gate: what is refused, and by which name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import (
    BartConfig,
    BloomConfig,
    FalconConfig,
    Gemma3TextConfig,
    GPT2Config,
    GPTJConfig,
    Llama4TextConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3NextConfig,
    T5Config,
)

from draftmesh.core.errors import ConfigError, UnsupportedModelError
from draftmesh.engine.capabilities import check_config, context_tokens, expected_windows, model_class
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.loading import load_model, prepare_model
from tests.helpers.tiny_models import TINY_CONFIGS, random_model

REFUSED: list[PreTrainedConfig] = [
    BloomConfig(),
    FalconConfig(),
    FalconConfig(alibi=True),
    MambaConfig(),
    GPTJConfig(),
    BartConfig(),
    T5Config(),
    Llama4TextConfig(),
    Qwen3NextConfig(),
    Gemma3TextConfig(use_bidirectional_attention=True),
]


def gate(config: PreTrainedConfig) -> None:
    """What loading asks before it reads any weights."""
    check_config(config)
    model_class(config)


@pytest.mark.parametrize("config", REFUSED, ids=lambda config: config.model_type)
def test_models_that_would_run_wrongly_are_refused_by_name(config: PreTrainedConfig) -> None:
    """The message names the model type."""
    with pytest.raises(UnsupportedModelError, match=repr(config.model_type)):
        gate(config)


@pytest.mark.parametrize("config", [BloomConfig(), FalconConfig(), MambaConfig()], ids=lambda config: config.model_type)
def test_a_refused_model_is_not_even_loaded(config: PreTrainedConfig, tmp_path: Path) -> None:
    """A folder with its configuration alone is enough to refuse it."""
    config.save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match=repr(config.model_type)):
        load_model(EngineConfig(model=str(tmp_path)))


def test_a_bloom_in_memory_is_refused() -> None:
    """Transformers would take the attention's name and silently bypass it."""
    model = random_model(BloomConfig(vocab_size=32, hidden_size=16, n_layer=1, n_head=2))
    with pytest.raises(UnsupportedModelError, match="'bloom'"):
        prepare_model(model, EngineConfig(model="bloom", max_context_tokens=64))


@pytest.mark.parametrize("family", TINY_CONFIGS)
def test_supported_families_pass(family: str) -> None:
    """The gate refuses none of them."""
    gate(TINY_CONFIGS[family])


def test_the_context_is_the_models_own_unless_limited() -> None:
    """0 asks for all of it."""
    config = LlamaConfig(max_position_embeddings=100)
    assert (context_tokens(config, 0), context_tokens(config, 60)) == (100, 60)
    assert context_tokens(GPT2Config(n_positions=77), 0) == 77


def test_a_context_beyond_the_models_positions_is_refused() -> None:
    """It would index embeddings that are not there, or rotate beyond what was trained."""
    with pytest.raises(UnsupportedModelError, match="no positions there"):
        context_tokens(LlamaConfig(max_position_embeddings=100), 101)


@pytest.mark.parametrize("rope_type", ["dynamic", "longrope"])
def test_rope_that_depends_on_the_batch_is_refused_beyond_its_original_context(rope_type: str) -> None:
    """A neighbour's long sequence would change a short one's logits; within the original context nothing stretches."""
    rope: dict[str, Any] = {"rope_type": rope_type, "rope_theta": 1e4, "factor": 4.0}
    rope["original_max_position_embeddings"] = 64
    if rope_type == "longrope":
        rope |= {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    config = LlamaConfig(max_position_embeddings=256, head_dim=8, rope_parameters=rope)
    assert context_tokens(config, 0) == 64
    with pytest.raises(UnsupportedModelError, match="rest of the batch"):
        context_tokens(config, 65)


def test_a_model_without_a_named_context_needs_a_limit() -> None:
    """Guessing one would be wrong."""
    with pytest.raises(ConfigError, match="max_context_tokens"):
        context_tokens(BloomConfig(), 0)
    assert context_tokens(BloomConfig(), 50) == 50


def test_the_windows_that_layers_must_pass_are_read_from_the_configuration() -> None:
    """One for each layer; None for full attention."""
    assert expected_windows(MistralConfig(num_hidden_layers=2, sliding_window=9)) == (9, 9)
    assert expected_windows(TINY_CONFIGS["gemma3"]) == (5, 5, None)
    assert expected_windows(Qwen2Config(num_hidden_layers=2, sliding_window=9, use_sliding_window=False)) == (
        None,
        None,
    )
