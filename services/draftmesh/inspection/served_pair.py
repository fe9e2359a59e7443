"""A deployment inside this process, for as long as a measurement needs it: the same plan that Ray carries out.

Everything but Ray is the real thing: each daemon has its own gRPC server on a loopback port, its own engine and its
own engine thread. They share one event loop with whoever measures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from draftmesh.coordinator import app as coordinator
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.replicas import (
    ReplicaKind,
    ReplicaSpec,
    ReplicaStatus,
    RunningDaemon,
    membership_of,
    reconfigured,
)
from draftmesh.coordinator.tasks import any_change
from draftmesh.core.errors import UnavailableError

_READY_TIMEOUT_S = 60.0
"""For the shards to see the others, once every daemon listens; loading models is over by then."""


@dataclass(frozen=True, slots=True)
class ServedPair:
    """Daemons that serve, by the names of their replicas."""

    daemons: Mapping[str, RunningDaemon]

    @property
    def address(self) -> str:
        """host:port at which clients reach the first shard."""
        return next(daemon.address for daemon in self.daemons.values() if isinstance(daemon, coordinator.Running))

    def address_of(self, replica: str) -> str:
        """host:port of one replica."""
        return self.daemons[replica].address


def with_whole_drafts(plan: Sequence[ReplicaSpec]) -> tuple[ReplicaSpec, ...]:
    """The plan with shards that draft as many tokens as they may, whether it pays or not.

    As sessions are served otherwise, drafts end where the drafter is unsure and where another token costs more than it
    brings, on the machine at hand. Acceptance of whole drafts depends on the models and the texts alone.
    """

    def whole(config: CoordinatorConfig) -> CoordinatorConfig:
        length = replace(config.generation.draft_length, is_adaptive=False)
        return replace(config, generation=replace(config.generation, draft_length=length))

    return reconfigured(plan, CoordinatorConfig, whole)


@asynccontextmanager
async def served_pair(plan: Sequence[ReplicaSpec]) -> AsyncIterator[ServedPair]:
    """Run a plan here, one replica after the other in its order; leaving the context drains them in reverse.

    Every shard uses all drafters and verifiers of the plan.

    Raises:
        ConfigError: a configuration is wrong, a model is not there, or a port is taken.
        UnsupportedError: a model or its tokenizer would run wrongly.
        UnavailableError: the shards do not find the others.
    """
    async with AsyncExitStack() as stack:
        daemons: dict[str, RunningDaemon] = {}
        for spec in plan:
            daemons[spec.name] = await stack.enter_async_context(spec.running())
        membership = membership_of([ReplicaStatus(spec.name, spec.kind, daemons[spec.name].address) for spec in plan])
        members = sum(spec.kind is not ReplicaKind.SHARD for spec in plan)
        for daemon in daemons.values():
            if isinstance(daemon, coordinator.Running):
                daemon.update_membership(membership)
                await until_ready(daemon, members)
        yield ServedPair(daemons)


async def until_ready(shard: coordinator.Running, members: int) -> None:
    """Until a shard sees so many drafters and verifiers.

    Raises:
        UnavailableError: it does not find them.
    """
    pools = shard.shard.pools
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            while len(pools.drafters.ready) + len(pools.verifiers.ready) < members:
                await any_change(pools.drafters.changed, pools.verifiers.changed)
    except TimeoutError:
        raise UnavailableError(f"a shard does not see all {members} drafters and verifiers") from None
