"""The configuration is checked once, at start."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

import draftmesh.coordinator.config
from draftmesh.coordinator.admission import AdmissionConfig
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.drafting.stage import FeedConfig
from draftmesh.coordinator.loop.config import GenerationConfig
from draftmesh.coordinator.loop.failover import FailoverConfig
from draftmesh.coordinator.loop.pace import PaceConfig
from draftmesh.coordinator.loop.silence import SilenceConfig
from draftmesh.coordinator.methods.choice import MethodChoiceConfig
from draftmesh.coordinator.openings import ProposalConfig
from draftmesh.coordinator.routing.config import RoutingConfig
from draftmesh.coordinator.routing.moving import MovingConfig
from draftmesh.coordinator.routing.rates import RatesConfig
from draftmesh.core.errors import ConfigError

CONFIG = CoordinatorConfig(drafters=("a:1",), verifiers=("b:2",), peers=("c:3", "d:4"), shard=1)


def test_a_sound_configuration_passes() -> None:
    """And so do the defaults."""
    CONFIG.validate()
    CoordinatorConfig().validate()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shard": 2}, "shard is 2"),
        ({"shard": -1}, "shard is -1"),
        ({"draft_tokens": 0}, "draft_tokens"),
        ({"draft_tokens": 65}, "draft_tokens"),
        ({"default_max_tokens": 0}, "default_max_tokens"),
        ({"drafters": ("nowhere",)}, "drafters"),
        ({"drafters": ("host:0",)}, "drafters"),
        ({"listen": "50051"}, "listen"),
        ({"own_listen": "host:x"}, "own_listen"),
        ({"method_choice": MethodChoiceConfig(trials=0)}, "trials"),
        ({"routing": RoutingConfig(rates=RatesConfig(forgetting=0.0))}, "forgetting"),
        ({"routing": RoutingConfig(moving=MovingConfig(check_ms=0.0))}, "check_ms"),
        ({"routing": RoutingConfig(moving=MovingConfig(margin=-0.1))}, "margin"),
        ({"generation": GenerationConfig(rounds_ahead=-1)}, "rounds_ahead"),
        ({"generation": GenerationConfig(rounds_ahead=16)}, "rounds_ahead must be below 16"),
        ({"generation": GenerationConfig(pace=PaceConfig(initial_step_ms=0.0))}, "initial_step_ms"),
        ({"generation": GenerationConfig(pace=PaceConfig(free_step_share=0.0))}, "free_step_share"),
        ({"generation": GenerationConfig(proposals=ProposalConfig(support=0))}, "support"),
        ({"generation": GenerationConfig(feed=FeedConfig(bond_patience_ms=0.0))}, "bond_patience_ms"),
        ({"generation": GenerationConfig(failover=FailoverConfig(silence=SilenceConfig(steps=0.0)))}, "silence.steps"),
        ({"verifiers": ("host:99999",)}, "verifiers"),
        ({"drain_grace_s": float("nan")}, "drain_grace_s"),
        ({"admission": AdmissionConfig(max_sessions=0)}, "max_sessions"),
    ],
)
def test_nonsense_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    """The error names the field."""
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **changes).validate()  # type: ignore[arg-type]


def test_the_coordinator_knows_neither_torch_nor_transformers() -> None:
    """Its image carries neither: no module of the package imports them."""
    package = Path(draftmesh.coordinator.config.__file__).parent
    imported = {
        (alias.name if isinstance(node, ast.Import) else node.module or "").partition(".")[0]
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported & {"torch", "transformers"} == set()
