"""A plan's replicas as processes of this machine, for as long as a benchmark needs them; without Ray.

Daemons that share a process share one interpreter lock, so a benchmark that times them gives each its own. To put
something between a shard and the others, such as a proxy that delays, start them one by one and tell the shard other
addresses: :func:`replica_process`, :func:`over`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

from draftmesh.coordinator import app as coordinator
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.replicas import Membership, ReplicaKind, ReplicaSpec, ReplicaStatus, membership_of
from draftmesh.core.errors import DraftmeshError, UnavailableError
from draftmesh.inspection.served_pair import until_ready
from draftmesh.telemetry.logs import configure_logging

_START_TIMEOUT_S = 600.0
"""Loading a large model and proving that it runs right takes most of it."""

_END_TIMEOUT_S = 20.0
"""For a replica to drain; its clients have gone by then."""

_SPAWN = multiprocessing.get_context("spawn")  # a forked process would inherit threads that are not there

Config = TypeVar("Config")


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

    The process also ends when this one does, however it does.

    Raises:
        UnavailableError: it cannot start; says why.
    """
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(spec, theirs), name=spec.name, daemon=True)
    process.start()
    theirs.close()
    try:
        with ours:
            address = await _address(ours, spec.name)
            yield ReplicaStatus(spec.name, spec.kind, address, pid=process.pid or 0, cpus=spec.cpus, gpus=spec.gpus)
    finally:
        await asyncio.to_thread(_end, process)


def over(spec: ReplicaSpec, members: Membership) -> ReplicaSpec:
    """A shard's replica that uses these drafters and verifiers."""
    config = spec.config
    assert isinstance(config, CoordinatorConfig)
    return replace(spec, config=replace(config, drafters=members.drafters, verifiers=members.verifiers))


def reconfigured(
    plan: Sequence[ReplicaSpec], config_type: type[Config], change: Callable[[Config], Config]
) -> tuple[ReplicaSpec, ...]:
    """A plan in which every configuration of a type (a verifier's, a drafter's or a shard's) is changed."""
    return tuple(
        replace(spec, config=change(spec.config)) if isinstance(spec.config, config_type) else spec for spec in plan
    )


async def _address(pipe: Connection, name: str) -> str:
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            await _until_readable(pipe)
        answer = pipe.recv()
    except TimeoutError:
        raise UnavailableError(f"{name} is not up after {_START_TIMEOUT_S:g} s") from None
    except EOFError:
        raise UnavailableError(f"{name} ended while it started") from None
    if isinstance(answer, _Failure):
        raise UnavailableError(f"{name} cannot start: {answer.reason}")
    return str(answer)


def _end(process: BaseProcess) -> None:
    process.join(_END_TIMEOUT_S)
    if process.is_alive():
        process.kill()
        process.join()
    process.close()


async def _until_readable(pipe: Connection) -> None:
    """Until there is a message, or the other side is closed."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(pipe.fileno())


def _serve(spec: ReplicaSpec, pipe: Connection) -> None:
    """The process: one daemon, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    configure_logging(level="error")
    asyncio.run(_serve_until_closed(spec, pipe))


async def _serve_until_closed(spec: ReplicaSpec, pipe: Connection) -> None:
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
        await _until_readable(pipe)
