"""What an operator may write, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from draftmesh.core.errors import ConfigError
from draftmesh.engine.config import EngineConfig


def test_the_defaults_are_valid() -> None:
    """A model's name is all that is needed."""
    EngineConfig(model="somewhere").validate()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""),
        ("dtype", "float8"),
        ("quantization", "magic"),
        ("attention", "linear"),
        ("threads", -1),
        ("block_size_tokens", 0),
        ("kv_cache_tokens", 16),
        ("token_budget_tokens", -1),
        ("max_sequences", 0),
        ("max_context_tokens", -1),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(field: str, value: Any) -> None:  # noqa: ANN401  # any wrong value
    """The message tells which field."""
    config = EngineConfig(**{"model": "somewhere", field: value})
    with pytest.raises(ConfigError, match=field):
        config.validate()


def test_our_own_quantization_is_for_a_cpu() -> None:
    """Elsewhere the weights' way from memory is another matter."""
    EngineConfig(model="somewhere", quantization="int8").validate()
    with pytest.raises(ConfigError, match="int8 needs the device cpu"):
        EngineConfig(model="somewhere", quantization="int8", device="cuda:1").validate()


def test_the_gpu_attention_is_for_a_gpu() -> None:
    """Its kernel is; the reference runs anywhere."""
    EngineConfig(model="somewhere", attention="varlen_paged", device="cuda:1").validate()
    EngineConfig(model="somewhere", attention="sdpa_ragged", device="cuda:1").validate()
    with pytest.raises(ConfigError, match="varlen_paged needs the device cuda"):
        EngineConfig(model="somewhere", attention="varlen_paged").validate()


@pytest.mark.parametrize(
    ("options", "attention", "records"),
    [
        ({}, "sdpa_ragged", False),
        ({"device": "cuda:1"}, "varlen_paged", True),
        ({"device": "cuda", "step_graphs": False}, "varlen_paged", False),
        ({"device": "cuda", "attention": "sdpa_ragged"}, "sdpa_ragged", False),
    ],
)
def test_attention_goes_by_the_device_unless_it_is_set(options: Any, attention: str, records: bool) -> None:  # noqa: ANN401
    """And steps are recorded where its kernel is the one for a GPU."""
    config = EngineConfig(model="somewhere", **options)
    assert (config.attention_name, config.records_steps) == (attention, records)


@pytest.mark.parametrize(
    ("device", "budget", "rows"),
    [("cpu", 0, 64), ("cuda", 0, 1024), ("cuda:1", 0, 1024), ("cpu", 7, 7), ("cuda", 7, 7)],
)
def test_step_size_goes_by_the_device_unless_it_is_set(device: str, budget: int, rows: int) -> None:
    """0 stands for few rows on a CPU and many elsewhere."""
    assert EngineConfig(model="somewhere", device=device, token_budget_tokens=budget).step_rows == rows


def test_the_pool_has_whole_blocks() -> None:
    """A remainder is not allocated."""
    assert EngineConfig(model="somewhere", block_size_tokens=16, kv_cache_tokens=100).kv_blocks == 6
