"""What a drafter's configuration refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from draftmesh.core.errors import ConfigError
from draftmesh.drafter.config import DrafterConfig
from draftmesh.drafter.lookup import LookupConfig
from draftmesh.engine.config import EngineConfig

MODEL = DrafterConfig(engine=EngineConfig(model="models/tiny/"))
NGRAM = DrafterConfig(kind="ngram")


@pytest.mark.parametrize("config", [MODEL, NGRAM], ids=["model", "ngram"])
def test_defaults_are_valid(config: DrafterConfig) -> None:
    """Both kinds work as they come."""
    config.validate()


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        (MODEL, {"kind": "oracle"}, "kind"),
        (MODEL, {"engine": None}, "needs an engine"),
        (NGRAM, {"engine": EngineConfig(model="x")}, "needs an engine"),
        (MODEL, {"engine": EngineConfig(model="")}, "model"),
        (MODEL, {"max_sessions": 65}, "max_sequences"),
        (NGRAM, {"max_sessions": 0}, "max_sessions"),
        (NGRAM, {"max_ahead_tokens": 0}, "max_ahead_tokens"),
        (NGRAM, {"default_ahead_tokens": 33}, "default_ahead_tokens"),
        (NGRAM, {"max_vocabularies": 0}, "max_vocabularies"),
        (NGRAM, {"retry_after_ms": 0}, "retry_after_ms"),
        (NGRAM, {"max_psi_paths": 0}, "max_psi_paths"),
        (NGRAM, {"extra_sequences": -1}, "extra_sequences"),
        (NGRAM, {"block_interval_ms": float("nan")}, "block_interval_ms"),
        (NGRAM, {"lookup_context_bytes": -1}, "lookup_context_bytes"),
        (NGRAM, {"drain_grace_s": -1.0}, "drain_grace_s"),
        (NGRAM, {"watch_interval_s": 0.0}, "watch_interval_s"),
        (NGRAM, {"lookup": LookupConfig(min_match_bytes=0)}, "min_match_bytes"),
    ],
)
def test_out_of_range_is_refused(base: DrafterConfig, changes: dict[str, Any], message: str) -> None:
    """A wrong value is refused by name before anything starts."""
    with pytest.raises(ConfigError, match=message):
        replace(base, **changes).validate()


@pytest.mark.parametrize(
    ("config", "name"), [(MODEL, "tiny"), (NGRAM, "ngram"), (replace(MODEL, name="quick"), "quick")]
)
def test_public_name(config: DrafterConfig, name: str) -> None:
    """A drafter is called after its model, its kind, or as it is told."""
    assert config.public_name == name
