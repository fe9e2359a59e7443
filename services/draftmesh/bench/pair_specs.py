"""The parts of a deployment that a benchmark puts together by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from draftmesh.bench.processes import replica_process
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.replicas import ReplicaKind, ReplicaSpec, ReplicaStatus

ChangeShard = Callable[[CoordinatorConfig], CoordinatorConfig]


@dataclass(frozen=True, slots=True)
class PairSpecs:
    """One verifier, its drafters and one shard."""

    verifier: ReplicaSpec
    drafters: tuple[ReplicaSpec, ...]
    shard: ReplicaSpec

    @classmethod
    def of(cls, plan: Sequence[ReplicaSpec]) -> PairSpecs:
        """The first verifier and the first shard of a plan, and all of its drafters."""
        by_kind = {kind: tuple(spec for spec in plan if spec.kind is kind) for kind in ReplicaKind}
        return cls(by_kind[ReplicaKind.VERIFIER][0], by_kind[ReplicaKind.DRAFTER], by_kind[ReplicaKind.SHARD][0])

    def shard_with(self, change: ChangeShard) -> ReplicaSpec:
        """The shard with another configuration."""
        config = self.shard.config
        assert isinstance(config, CoordinatorConfig)
        return replace(self.shard, config=change(config))


@dataclass(frozen=True, slots=True)
class Members:
    """A verifier and its drafters, in processes of their own."""

    verifier: ReplicaStatus
    drafters: tuple[ReplicaStatus, ...]


@asynccontextmanager
async def members_of(specs: PairSpecs) -> AsyncIterator[Members]:
    """Run verifier and drafters, one after the other.

    Raises:
        UnavailableError: one cannot start; says why.
    """
    async with AsyncExitStack() as stack:
        statuses = [
            await stack.enter_async_context(replica_process(spec)) for spec in (specs.verifier, *specs.drafters)
        ]
        yield Members(statuses[0], tuple(statuses[1:]))
