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
        ("threads", -1),
        ("block_size_tokens", 0),
        ("kv_cache_tokens", 16),
        ("token_budget_tokens", 0),
        ("max_sequences", 0),
        ("max_context_tokens", -1),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(field: str, value: Any) -> None:  # noqa: ANN401  # any wrong value
    """The message tells which field."""
    config = EngineConfig(**{"model": "somewhere", field: value})
    with pytest.raises(ConfigError, match=field):
        config.validate()


def test_the_pool_has_whole_blocks() -> None:
    """A remainder is not allocated."""
    assert EngineConfig(model="somewhere", block_size_tokens=16, kv_cache_tokens=100).kv_blocks == 6
