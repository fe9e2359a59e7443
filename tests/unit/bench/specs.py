"""The smallest pair that real daemons serve: the packaged target as it is, and a drafter."""

from __future__ import annotations

from dataclasses import replace

from draftmesh.bench.pair_specs import PairSpecs
from draftmesh.bench.subject import Pair
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.loop.config import GenerationConfig
from draftmesh.coordinator.loop.draft_length import DraftLengthConfig
from draftmesh.coordinator.loop.pace import PaceConfig
from draftmesh.coordinator.replicas import ReplicaKind, ReplicaSpec
from draftmesh.demo.models import DRAFTER_SENTENCEPIECE, TARGET, demo_model_path
from draftmesh.drafter.config import DrafterConfig
from draftmesh.engine.config import EngineConfig
from draftmesh.verifier.config import VerifierConfig

LISTEN = "127.0.0.1:0"
PAIR = Pair("target", "drafter", is_expanded=False, verifier_threads=1, drafter_threads=1)


def shard_config(wait_ms: float) -> CoordinatorConfig:
    """A shard that waits so long for every draft, whether that pays or not; 0: for as long as pays."""
    config = CoordinatorConfig(listen=LISTEN, drain_grace_s=0.0)
    if not wait_ms:
        return config
    pace, length = PaceConfig(min_wait_ms=wait_ms, max_wait_ms=wait_ms), DraftLengthConfig(is_adaptive=False)
    return replace(config, generation=GenerationConfig(pace=pace, draft_length=length))


def pair_specs(*, ngram: bool = False, wait_ms: float = 0.0) -> PairSpecs:
    """The replicas, on one thread each; ``ngram``: with a drafter that has no model and starts at once.

    The target is as quick as its drafter, so drafts are sure to be judged only where ``wait_ms`` is long.
    """
    target = EngineConfig(model=str(demo_model_path(TARGET)), threads=1, kv_cache_tokens=4096)
    small = EngineConfig(model=str(demo_model_path(DRAFTER_SENTENCEPIECE)), threads=1, kv_cache_tokens=4096)
    verifier = VerifierConfig(engine=target, listen=LISTEN, drain_grace_s=0.0)
    kind = DrafterConfig(kind="ngram") if ngram else DrafterConfig(engine=small)
    drafter = DrafterConfig(kind=kind.kind, engine=kind.engine, listen=LISTEN, drain_grace_s=0.0)
    return PairSpecs(
        ReplicaSpec("verifier-0", ReplicaKind.VERIFIER, "draftmesh.verifier.app:running", verifier),
        (ReplicaSpec("drafter-0", ReplicaKind.DRAFTER, "draftmesh.drafter.app:running", drafter),),
        ReplicaSpec("shard-0", ReplicaKind.SHARD, "draftmesh.coordinator.app:running", shard_config(wait_ms)),
    )
