"""Replicas in processes of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from draftmesh.bench.processes import over, replica_processes, without_prefix_caches
from draftmesh.client import AsyncClient, GenerateOptions
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.replicas import Membership, ReplicaKind, ReplicaSpec, reconfigured
from draftmesh.core.errors import UnavailableError
from draftmesh.demo.models import TARGET, demo_model_path
from draftmesh.drafter.config import DrafterConfig
from draftmesh.engine.config import EngineConfig
from draftmesh.verifier.config import VerifierConfig
from tests.helpers.processes import survivors

LISTEN = "127.0.0.1:0"
SHARD = ReplicaSpec("shard-0", ReplicaKind.SHARD, "draftmesh.coordinator.app:running", CoordinatorConfig(listen=LISTEN))
NGRAM = ReplicaSpec(
    "drafter-ngram", ReplicaKind.DRAFTER, "draftmesh.drafter.app:running", DrafterConfig(kind="ngram", listen=LISTEN)
)


def _verifier(model: str) -> ReplicaSpec:
    config = VerifierConfig(engine=EngineConfig(model=model, threads=1), listen=LISTEN, calibrate=False)
    return ReplicaSpec("verifier-0", ReplicaKind.VERIFIER, "draftmesh.verifier.app:running", config)


@pytest.mark.timeout(120)
async def test_a_plan_serves_from_processes_that_end_with_it() -> None:
    """The shard, named first or not, uses the plan's verifier and drafter; afterwards no process is left."""
    plan = (SHARD, _verifier(str(demo_model_path(TARGET))), NGRAM)
    async with replica_processes(plan) as replicas:
        pids = frozenset(status.pid for status in replicas.statuses.values())
        async with AsyncClient(replicas.address) as client:
            generation = await client.generate("def add(a, b):\n", GenerateOptions(max_tokens=3))
            members = {member.address: member.ready for member in await client.pools()}
    assert generation.completion_tokens == 3
    assert members == {replicas.address_of("verifier-0"): True, replicas.address_of("drafter-ngram"): True}
    assert len(pids) == 3
    assert not survivors(pids, timeout_s=0.0)


@pytest.mark.timeout(60)
async def test_a_replica_that_cannot_start_says_why() -> None:
    """The daemon's own message comes back, with the replica's name."""
    with pytest.raises(UnavailableError, match=r"verifier-0 cannot start: CONFIG: .*no-such-folder"):
        async with replica_processes([_verifier("/no-such-folder")]):
            pass


def test_only_configurations_of_the_named_type_change() -> None:
    """A drafter's change leaves shards as they are."""
    shard, drafter = reconfigured((SHARD, NGRAM), DrafterConfig, lambda config: replace(config, max_ahead_tokens=9))
    assert shard is SHARD
    assert drafter == replace(NGRAM, config=DrafterConfig(kind="ngram", listen=LISTEN, max_ahead_tokens=9))


def test_every_engine_can_do_without_its_prefix_cache() -> None:
    """A drafter without a model has no engine."""
    cold = without_prefix_caches((_verifier("target"), NGRAM, SHARD))
    engine = EngineConfig(model="target", threads=1, prefix_cache=False)
    config = VerifierConfig(engine=engine, listen=LISTEN, calibrate=False)
    assert cold == (replace(_verifier("target"), config=config), NGRAM, SHARD)


def test_a_shard_can_be_told_other_addresses() -> None:
    """Its members are those given, whatever the plan runs."""
    told = over(SHARD, Membership(drafters=("127.0.0.1:1",), verifiers=("127.0.0.1:2",)))
    config = CoordinatorConfig(listen=LISTEN, drafters=("127.0.0.1:1",), verifiers=("127.0.0.1:2",))
    assert told == replace(SHARD, config=config)
