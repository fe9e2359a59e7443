"""What an operator may not set."""

from __future__ import annotations

import dataclasses
import math

import pytest

from draftmesh.core.errors import ConfigError
from draftmesh.engine.config import EngineConfig
from draftmesh.verifier.config import VerifierConfig

GOOD = VerifierConfig(engine=EngineConfig(model="models/target-1b/"))


def test_defaults_are_valid() -> None:
    """A model is all that a verifier must be told."""
    GOOD.validate()


@pytest.mark.parametrize(("name", "expected"), [(None, "target-1b"), ("target", "target")])
def test_model_is_called_by_its_folder_unless_named(name: str | None, expected: str) -> None:
    """Without a name the last part of the model's path is its name."""
    assert expected == dataclasses.replace(GOOD, model_name=name).public_name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_sessions", 0),
        ("max_sessions", 65),
        ("max_draft_tokens", 0),
        ("max_waiting_rounds", 15),
        ("kept_rounds", 0),
        ("retry_after_ms", 0),
        ("flush_interval_ms", -1.0),
        ("drain_grace_s", math.nan),
        ("watch_interval_s", 0.0),
        ("open_timeout_s", 0.0),
    ],
)
def test_value_outside_its_range_is_named(field: str, value: float) -> None:
    """The error names the field that is wrong."""
    with pytest.raises(ConfigError, match=field):
        dataclasses.replace(GOOD, **{field: value}).validate()  # type: ignore[arg-type]


def test_engine_is_validated_too() -> None:
    """A wrong engine configuration makes the verifier's wrong."""
    with pytest.raises(ConfigError, match="model"):
        VerifierConfig(engine=EngineConfig(model="")).validate()
