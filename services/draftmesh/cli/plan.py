"""From options to the replicas of a deployment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from draftmesh.bench.cores import usable_cores
from draftmesh.cli.options import DEMO, DEMO_UNIGRAM, NGRAM, ModelOptions, PoolOptions
from draftmesh.coordinator.admission import AdmissionConfig
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.loop.config import GenerationConfig
from draftmesh.coordinator.loop.draft_length import DraftLengthConfig
from draftmesh.coordinator.replicas import ReplicaKind, ReplicaSpec
from draftmesh.core.errors import ConfigError
from draftmesh.demo.models import (
    DRAFTER_SENTENCEPIECE,
    DRAFTER_UNIGRAM,
    ExpandedDtype,
    demo_model_path,
    expanded_target,
)
from draftmesh.drafter.config import DrafterConfig
from draftmesh.engine.config import EngineConfig
from draftmesh.transport.config import ServerConfig
from draftmesh.verifier.config import VerifierConfig

_DEMO_DRAFTERS = {DEMO: DRAFTER_SENTENCEPIECE, DEMO_UNIGRAM: DRAFTER_UNIGRAM}
_LIGHT_CPUS = 0.1  # of what hardly computes: shards and n-gram drafters


def deployment_plan(models: ModelOptions, pools: PoolOptions) -> tuple[ReplicaSpec, ...]:
    """The replicas of a deployment: verifiers, drafters, shards. Its shards trust its drafters.

    Raises:
        ConfigError: the options contradict themselves or each other.
    """
    ServerConfig(listen=pools.listen, own_listen=f"{pools.host}:0").validate()
    if len(set(map(_public_name, models.drafter))) != len(models.drafter):
        raise ConfigError("every drafter has a name of its own, its path's last; --drafters sets the replicas of each")
    if min(pools.shards, pools.verifiers) < 1 or pools.drafters < 0:
        raise ConfigError("a deployment needs at least one shard and one verifier, and no negative number of drafters")
    members = (*_verifiers(models, pools), *_drafters(models, pools))
    threads = sum(spec.cpus for spec in members if not spec.gpus and spec.cpus > _LIGHT_CPUS)
    return (*members, *_shards(pools, drafts_ahead=threads <= usable_cores()))


def target_path(models: ModelOptions) -> str:
    """Folder or hub name of the target; expands the packaged one when asked for it."""
    if models.target != DEMO:
        return models.target
    # Checkpoints for GPUs come in bfloat16, and "auto" is what the checkpoint has.
    dtype: ExpandedDtype = "float32" if models.device == "cpu" or models.dtype == "float32" else "bfloat16"
    return str(expanded_target(models.cache_dir.expanduser(), parameters=models.demo_parameters, dtype=dtype))


def model_path(drafter: str) -> str:
    """Folder or hub name of a drafter's model."""
    return str(demo_model_path(_DEMO_DRAFTERS[drafter])) if drafter in _DEMO_DRAFTERS else drafter


def _verifiers(models: ModelOptions, pools: PoolOptions) -> Iterator[ReplicaSpec]:
    threads = models.verifier_threads or usable_cores()
    config = VerifierConfig(
        engine=EngineConfig(
            model=target_path(models),
            dtype=models.dtype,
            device=models.device,
            threads=threads,
            quantization=models.quantization,
            max_sequences=pools.max_sessions,
        ),
        model_name=_public_name(models.target),
        listen=f"{pools.host}:0",
        max_sessions=pools.max_sessions,
    )
    config.validate()  # here, since in a replica nobody would see it
    for replica in range(pools.verifiers):
        yield ReplicaSpec(
            name=f"verifier-{replica}",
            kind=ReplicaKind.VERIFIER,
            entry="draftmesh.verifier.app:running",
            config=config,
            cpus=threads,
            gpus=_gpus(models.device),
        )


def _drafters(models: ModelOptions, pools: PoolOptions) -> Iterator[ReplicaSpec]:
    for drafter in models.drafter:
        config = _drafter_config(drafter, models, pools)
        config.validate()
        for replica in range(pools.drafters):
            yield ReplicaSpec(
                name=f"drafter-{_public_name(drafter)}-{replica}",
                kind=ReplicaKind.DRAFTER,
                entry="draftmesh.drafter.app:running",
                config=config,
                cpus=_LIGHT_CPUS if drafter == NGRAM else models.drafter_threads,
                gpus=0.0 if drafter == NGRAM else _gpus(models.drafter_device),
            )


def _drafter_config(drafter: str, models: ModelOptions, pools: PoolOptions) -> DrafterConfig:
    listen = f"{pools.host}:0"
    if drafter == NGRAM:
        return DrafterConfig(kind="ngram", listen=listen, max_sessions=pools.max_sessions)
    engine = EngineConfig(
        model=model_path(drafter),
        dtype=models.dtype,
        device=models.drafter_device,
        threads=models.drafter_threads,
        quantization=models.drafter_quantization,
        max_sequences=pools.max_sessions,
    )
    return DrafterConfig(engine=engine, name=_public_name(drafter), listen=listen, max_sessions=pools.max_sessions)


def _shards(pools: PoolOptions, *, drafts_ahead: bool) -> Iterator[ReplicaSpec]:
    """Where models have more threads than there are cores, drafters do not draft ahead of verdicts."""
    length = DraftLengthConfig(drafts_ahead=drafts_ahead)
    for shard in range(pools.shards):
        config = CoordinatorConfig(
            listen=pools.listen,
            own_listen=f"{pools.host}:0",
            reuse_port=True,
            shard=shard,
            trust_drafters=True,
            admission=AdmissionConfig(max_sessions=pools.max_sessions * pools.verifiers),
            generation=GenerationConfig(draft_length=length),
        )
        config.validate()
        yield ReplicaSpec(
            name=f"shard-{shard}",
            kind=ReplicaKind.SHARD,
            entry="draftmesh.coordinator.app:running",
            config=config,
            cpus=_LIGHT_CPUS,
        )


def _public_name(model: str) -> str:
    return Path(model).name or model


def _gpus(device: str) -> float:
    return 1.0 if device.startswith("cuda") else 0.0
