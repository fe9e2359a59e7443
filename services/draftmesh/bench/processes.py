"""A plan's replicas as processes of this machine, for as long as a benchmark needs them; without Ray.

Daemons that share a process share one interpreter lock, so a benchmark that times them gives each its own. To put
something between a shard and the others, such as a proxy that delays, start them one by one and tell the shard other
addresses: :func:`replica_process`, :func:`over`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from draftmesh.bench.child import child_process, until_readable
from draftmesh.coordinator import app as coordinator
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.replicas import (
    Membership,
    ReplicaKind,
    ReplicaSpec,
    ReplicaStatus,
    membership_of,
    reconfigured,
)
from draftmesh.core.errors import DraftmeshError, UnavailableError
from draftmesh.drafter.config import DrafterConfig
from draftmesh.engine.config import EngineConfig
from draftmesh.inspection.served_pair import until_ready
from draftmesh.transport import event_loop
from draftmesh.verifier.config import VerifierConfig

_START_TIMEOUT_S = 600.0
"""Loading a large model and proving that it runs right takes most of it."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """Replicas that serve, by name."""

    statuses: Mapping[str, ReplicaStatus]

    @property
    def address(self) -> str:
        """host:port at which clients reach the first shard."""
        return next(status.address for status in self.statuses.values() if status.kind is ReplicaKind.SHARD)

    def address_of(self, replica: str) -> str:
        """host:port of one replica."""
        return self.statuses[replica].address


@dataclass(frozen=True, slots=True)
class _Failure:
    """Sent instead of an address."""

    reason: str


@asynccontextmanager
async def replica_processes(plan: Sequence[ReplicaSpec]) -> AsyncIterator[Replicas]:
    """Run a plan, one replica after the other, so that none is measured by itself while another loads its model.

    Every shard uses all drafters and verifiers of the plan. Leaving the context drains and ends them all, shards first.

    Raises:
        UnavailableError: a replica cannot start; says why.
    """
    async with AsyncExitStack() as stack:
        statuses: dict[str, ReplicaStatus] = {}
        for spec in sorted(plan, key=lambda spec: spec.kind is ReplicaKind.SHARD):
            here = over(spec, membership_of(list(statuses.values()))) if spec.kind is ReplicaKind.SHARD else spec
            statuses[spec.name] = await stack.enter_async_context(replica_process(here))
        yield Replicas(statuses)


@asynccontextmanager
async def replica_process(spec: ReplicaSpec) -> AsyncIterator[ReplicaStatus]:
    """Run one replica in a process of its own; a shard is up when it sees all members that its configuration names.

    Raises:
        UnavailableError: it cannot start; says why.
    """
    async with child_process(spec.name, _serve, spec) as child:
        answer = await child.receive(_START_TIMEOUT_S)
        if isinstance(answer, _Failure):
            raise UnavailableError(f"{spec.name} cannot start: {answer.reason}")
        yield ReplicaStatus(spec.name, spec.kind, str(answer), pid=child.pid, cpus=spec.cpus, gpus=spec.gpus)


def over(spec: ReplicaSpec, members: Membership) -> ReplicaSpec:
    """A shard's replica that uses these drafters and verifiers."""
    config = spec.config
    assert isinstance(config, CoordinatorConfig)
    return replace(spec, config=replace(config, drafters=members.drafters, verifiers=members.verifiers))


def without_prefix_caches(plan: Sequence[ReplicaSpec]) -> tuple[ReplicaSpec, ...]:
    """A plan in which a prompt that comes again is computed again: repeats measure what the first time costs."""
    plan = reconfigured(plan, VerifierConfig, lambda config: replace(config, engine=_cold(config.engine)))
    return reconfigured(
        plan, DrafterConfig, lambda config: replace(config, engine=config.engine and _cold(config.engine))
    )


def _cold(engine: EngineConfig) -> EngineConfig:
    return replace(engine, prefix_cache=False)


def _serve(pipe: Connection, spec: ReplicaSpec) -> None:
    """The process: one daemon, until the pipe closes."""
    event_loop.run(_serve_until_closed(pipe, spec))


async def _serve_until_closed(pipe: Connection, spec: ReplicaSpec) -> None:
    async with AsyncExitStack() as stack:
        try:
            daemon = await stack.enter_async_context(spec.running())
            if isinstance(daemon, coordinator.Running):
                assert isinstance(spec.config, CoordinatorConfig)
                await until_ready(daemon, len(spec.config.drafters) + len(spec.config.verifiers))
        except DraftmeshError as error:
            pipe.send(_Failure(f"{error.reason}: {error}"))
            return
        pipe.send(daemon.address)
        await until_readable(pipe)
