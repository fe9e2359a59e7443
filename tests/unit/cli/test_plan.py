"""From options to the replicas of a deployment; nothing is loaded."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from draftmesh.cli.options import ModelOptions, PairOptions, PoolOptions
from draftmesh.cli.plan import deployment_plan, target_path
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.replicas import ReplicaKind, ReplicaSpec
from draftmesh.core.errors import ConfigError
from draftmesh.demo.models import DRAFTER_SENTENCEPIECE, DRAFTER_UNIGRAM, demo_model_path
from draftmesh.drafter.config import DrafterConfig
from draftmesh.engine.config import DtypeName
from draftmesh.verifier.config import VerifierConfig

MODELS = ModelOptions(target="/models/big", drafter=("hub/small", "ngram"), verifier_threads=3, drafter_threads=2)
POOLS = PoolOptions(listen="0.0.0.0:7", shards=2, verifiers=2, drafters=2, max_sessions=5, host="10.0.0.1")
PLAN = deployment_plan(MODELS, POOLS)


def of_kind(plan: Sequence[ReplicaSpec], kind: ReplicaKind) -> list[ReplicaSpec]:
    """The replicas of one kind."""
    return [spec for spec in plan if spec.kind is kind]


def test_every_replica_has_a_name_and_a_kind() -> None:
    """Verifiers come first, then each drafter's replicas, then the shards."""
    assert [(spec.name, spec.kind.value) for spec in PLAN] == [
        ("verifier-0", "verifier"),
        ("verifier-1", "verifier"),
        ("drafter-small-0", "drafter"),
        ("drafter-small-1", "drafter"),
        ("drafter-ngram-0", "drafter"),
        ("drafter-ngram-1", "drafter"),
        ("shard-0", "shard"),
        ("shard-1", "shard"),
    ]


def test_every_replica_asks_for_the_cores_that_it_uses() -> None:
    """Models get their threads; shards and drafters without a model next to nothing; on CPUs nobody gets a GPU."""
    assert [spec.cpus for spec in PLAN] == [3, 3, 2, 2, 0.1, 0.1, 0.1, 0.1]
    assert {spec.gpus for spec in PLAN} == {0.0}


def test_models_on_a_gpu_ask_for_one() -> None:
    """The target and the model drafter each get a GPU; a drafter without a model and shards do not."""
    plan = deployment_plan(replace(MODELS, device="cuda:1", drafter_device="cuda"), replace(POOLS, drafters=1))
    assert [spec.gpus for spec in plan] == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]


def test_drafters_are_quantised_apart_from_the_target() -> None:
    """What a drafter proposes is its own affair; what the target says is not."""
    plan = deployment_plan(replace(MODELS, drafter=("hub/small",), drafter_quantization="int8"), POOLS)
    daemons = [spec.config for spec in plan if isinstance(spec.config, VerifierConfig | DrafterConfig)]
    chosen = [config.engine.quantization for config in daemons if config.engine is not None]
    assert chosen == [None, None, "int8", "int8"]


def test_each_kind_runs_its_own_daemon() -> None:
    """Entries are those of the three daemons."""
    assert {(spec.kind.value, spec.entry) for spec in PLAN} == {
        ("verifier", "draftmesh.verifier.app:running"),
        ("drafter", "draftmesh.drafter.app:running"),
        ("shard", "draftmesh.coordinator.app:running"),
    }


def test_a_verifier_serves_the_target() -> None:
    """Model, name, threads, sessions and interface are those of the options."""
    config = of_kind(PLAN, ReplicaKind.VERIFIER)[0].config
    assert isinstance(config, VerifierConfig)
    assert (config.engine.model, config.public_name, config.engine.threads) == ("/models/big", "big", 3)
    assert (config.max_sessions, config.engine.max_sequences, config.listen) == (5, 5, "10.0.0.1:0")


def test_ngram_is_a_drafter_without_a_model() -> None:
    """It has no engine."""
    config = next(spec.config for spec in PLAN if spec.name == "drafter-ngram-0")
    assert isinstance(config, DrafterConfig)
    assert (config.kind, config.engine, config.public_name, config.max_sessions) == ("ngram", None, "ngram", 5)


@pytest.mark.parametrize(
    ("drafter", "name", "model"),
    [
        ("hub/small", "small", "hub/small"),
        ("demo", "demo", str(demo_model_path(DRAFTER_SENTENCEPIECE))),
        ("demo-unigram", "demo-unigram", str(demo_model_path(DRAFTER_UNIGRAM))),
    ],
)
def test_a_drafter_is_named_as_it_was_asked_for(drafter: str, name: str, model: str) -> None:
    """A model's name is the last part of its path; the packaged ones keep their short names."""
    plan = deployment_plan(replace(MODELS, drafter=(drafter,)), POOLS)
    config = of_kind(plan, ReplicaKind.DRAFTER)[0].config
    assert isinstance(config, DrafterConfig)
    assert config.engine is not None
    assert (config.public_name, config.engine.model, config.engine.threads) == (name, model, 2)


def test_shards_share_a_port_and_have_one_of_their_own() -> None:
    """Each shard knows its number, and takes as many sessions as all verifiers together."""
    configs = [spec.config for spec in of_kind(PLAN, ReplicaKind.SHARD)]
    assert all(isinstance(config, CoordinatorConfig) for config in configs)
    expected = [("0.0.0.0:7", True, "10.0.0.1:0", number, 10) for number in range(2)]
    assert expected == [
        (c.listen, c.reuse_port, c.own_listen, c.shard, c.admission.max_sessions)
        for c in configs
        if isinstance(c, CoordinatorConfig)
    ]


def test_shards_trust_the_drafters_of_their_own_deployment() -> None:
    """So all methods can be used."""
    configs = [spec.config for spec in of_kind(PLAN, ReplicaKind.SHARD)]
    assert [config.trust_drafters for config in configs if isinstance(config, CoordinatorConfig)] == [True, True]


def test_a_pair_is_run_as_it_is_told() -> None:
    """The options of a pair are those of a deployment with these models."""
    pair = PairOptions(verifier_threads=3, drafter_threads=2)
    assert pair.of("/models/big", "hub/small", "ngram") == MODELS


def test_a_deployment_may_have_no_drafter() -> None:
    """Without drafters the target decodes alone."""
    for models, pools in ((replace(MODELS, drafter=()), POOLS), (MODELS, replace(POOLS, drafters=0))):
        assert of_kind(deployment_plan(models, pools), ReplicaKind.DRAFTER) == []


def test_a_plan_can_travel() -> None:
    """The whole plan is pickled, unpickled and equal: its controller runs in another process."""
    assert pickle.loads(pickle.dumps(PLAN)) == PLAN


@pytest.mark.parametrize(
    ("device", "dtype", "is_half"), [("cpu", "auto", 0), ("cuda", "auto", 1), ("cuda", "float32", 0)]
)
def test_the_packaged_target_comes_as_its_device_wants_it(
    tmp_path: Path, device: str, dtype: DtypeName, is_half: bool
) -> None:
    """In bfloat16 for a GPU, unless that is told otherwise."""
    models = PairOptions(device=device, dtype=dtype, demo_parameters=3_000_000, cache_dir=tmp_path).of("demo")
    config = json.loads(Path(target_path(models), "config.json").read_text())
    assert config["dtype"] == ("bfloat16" if is_half else "float32")


def test_a_target_that_is_named_is_taken_as_it_is() -> None:
    """Only the packaged target is expanded."""
    assert target_path(MODELS) == "/models/big"


@pytest.mark.parametrize(
    ("models", "pools", "message"),
    [
        (replace(MODELS, drafter=("ngram", "ngram")), POOLS, "a name of its own"),
        (replace(MODELS, drafter=("a/small", "b/small")), POOLS, "a name of its own"),
        (MODELS, replace(POOLS, shards=0), "at least one shard"),
        (MODELS, replace(POOLS, verifiers=0), "one verifier"),
        (MODELS, replace(POOLS, drafters=-1), "negative"),
        (MODELS, replace(POOLS, max_sessions=0), "max_se(quence|ssion)s"),
        (replace(MODELS, verifier_threads=-1), POOLS, "threads"),
        (replace(MODELS, drafter_threads=-1), POOLS, "threads"),
        (replace(MODELS, target=""), POOLS, "model"),
        (MODELS, replace(POOLS, listen="nonsense"), "listen must be host:port"),
        (MODELS, replace(POOLS, host=""), "own_listen must be host:port"),
    ],
)
def test_options_that_make_no_sense_are_refused(models: ModelOptions, pools: PoolOptions, message: str) -> None:
    """The error comes before anything is started, and says which option it is about."""
    with pytest.raises(ConfigError, match=message):
        deployment_plan(models, pools)
