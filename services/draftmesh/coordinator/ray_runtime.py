"""Ray as supervisor: it places replicas, restarts the dead, and tells the shards who is up. No token passes through it.

A detached, named pool controller carries out a plan of replicas. Each replica is an async actor that runs one daemon
with its own gRPC server, is restarted for ever, and starts its daemon when it is first asked for its status: so a
restarted actor, whose state is gone, comes back by the controller's next question. The only module that imports ray.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import ray
from ray.actor import ActorHandle

from draftmesh.coordinator.replicas import (
    Membership,
    ReplicaKind,
    ReplicaSpec,
    ReplicaStatus,
    RunningDaemon,
    RunningShard,
    membership_of,
)
from draftmesh.core.errors import UnavailableError
from draftmesh.engine.wait_policy import wait_briefly

NAMESPACE = "draftmesh"
CONTROLLER_NAME = "pool-controller"
_RESTART_FOREVER = -1


@dataclass(frozen=True, slots=True)
class RayConfig:
    """How to reach or start Ray."""

    address: str | None = None
    """Address of a Ray cluster to join; None starts one in this machine and ends it with the process."""

    poll_interval_s: float = 0.5
    """Seconds between two looks of the controller at every replica."""

    start_timeout_s: float = 300.0
    """Seconds until every replica must be up; loading a large model takes most of it."""

    stop_timeout_s: float = 30.0
    """Seconds for replicas to drain before they are killed."""

    log_to_driver: bool = False
    """Print the replicas' logs here too."""


class _Replica:
    """One daemon in one actor."""

    def __init__(self, spec: ReplicaSpec) -> None:
        wait_briefly()  # here too, since a cluster that is joined knows nothing of our environment
        self._spec = spec
        self._stack = AsyncExitStack()
        self._daemon: RunningDaemon | None = None
        self._starting = asyncio.Lock()

    async def status(self) -> ReplicaStatus:
        """Where it runs; starts the daemon if it does not run yet."""
        async with self._starting:
            if self._daemon is None:
                self._daemon = await self._stack.enter_async_context(self._spec.running())
        node = ray.util.get_node_ip_address()
        return ReplicaStatus(
            name=self._spec.name,
            kind=self._spec.kind,
            address=_reachable(self._daemon.address, node),
            node=node,
            pid=os.getpid(),
            cpus=self._spec.cpus,
            gpus=self._spec.gpus,
        )

    async def update_membership(self, membership: Membership) -> None:
        """Tell a shard who is up."""
        if self._daemon is not None:
            cast("RunningShard", self._daemon).update_membership(membership)

    async def stop(self) -> None:
        """Drain the daemon."""
        async with self._starting:
            await self._stack.aclose()


class _PoolController:
    """Keeps a plan's replicas running and the shards informed."""

    def __init__(self, plan: Sequence[ReplicaSpec], config: RayConfig) -> None:
        self._config = config
        self._plan = tuple(plan)
        self._replicas = {spec.name: _find_or_create(spec) for spec in plan}
        self._questions: dict[str, asyncio.Task[ReplicaStatus]] = {}
        self._statuses = {spec.name: _down(spec) for spec in plan}
        self._supervision: asyncio.Task[None] | None = None

    async def statuses(self) -> tuple[ReplicaStatus, ...]:
        """Every replica's last known status, in the order of the plan; starts the supervision when first called."""
        if self._supervision is None:
            self._supervision = asyncio.create_task(self._supervise())
        elif self._supervision.done():
            self._supervision.result()  # a bug: let the caller see it
        return tuple(self._statuses.values())

    async def stop(self) -> None:
        """Drain and kill every replica, the shards first, so that sessions end before what they need does."""
        if self._supervision is not None:
            self._supervision.cancel()
        shards = [spec for spec in self._plan if spec.kind is ReplicaKind.SHARD]
        for group in (shards, [spec for spec in self._plan if spec not in shards]):
            await asyncio.gather(*(self._stop_replica(spec) for spec in group))

    async def _supervise(self) -> None:
        while True:
            for spec in self._plan:
                self._look_at(spec)
            await self._inform_shards()
            await asyncio.sleep(self._config.poll_interval_s)

    def _look_at(self, spec: ReplicaSpec) -> None:
        """Take up the last question's answer and ask again; a replica that is starting just answers late."""
        question = self._questions.get(spec.name)
        if question is not None and not question.done():
            return
        if question is not None:
            error = question.exception()
            self._statuses[spec.name] = question.result() if error is None else _down(spec, error)
        self._questions[spec.name] = asyncio.ensure_future(self._ask(spec.name))

    async def _ask(self, name: str) -> ReplicaStatus:
        return cast("ReplicaStatus", await self._replicas[name].status.remote())

    async def _inform_shards(self) -> None:
        membership = membership_of(tuple(self._statuses.values()))
        shards = [s for s in self._statuses.values() if s.kind is ReplicaKind.SHARD and s.is_up]
        await asyncio.gather(
            *(self._replicas[shard.name].update_membership.remote(membership) for shard in shards),
            return_exceptions=True,  # a shard that has just died is told again when it is back
        )

    async def _stop_replica(self, spec: ReplicaSpec) -> None:
        replica = self._replicas[spec.name]
        with suppress(ray.exceptions.RayError, TimeoutError):
            await asyncio.wait_for(replica.stop.remote(), self._config.stop_timeout_s)
        ray.kill(replica)


def _reachable(address: str, node: str) -> str:
    """The address as others dial it: a daemon that listens on every interface is reached at its machine."""
    host, _, port = address.rpartition(":")
    return f"{node}:{port}" if host in {"0.0.0.0", "[::]"} else address


def _down(spec: ReplicaSpec, error: BaseException | None = None) -> ReplicaStatus:
    # An actor that died is on its way back; a daemon that raised would raise again.
    failure = str(error.cause) if isinstance(error, ray.exceptions.RayTaskError) else ""
    return ReplicaStatus(spec.name, spec.kind, "", cpus=spec.cpus, gpus=spec.gpus, failure=failure)


def _find_or_create(spec: ReplicaSpec) -> ActorHandle:
    # A controller that has been restarted finds the replicas of its former life.
    actor = ray.remote(_Replica).options(
        name=spec.name,
        namespace=NAMESPACE,
        get_if_exists=True,
        lifetime="detached",
        max_restarts=_RESTART_FOREVER,
        num_cpus=spec.cpus,
        num_gpus=spec.gpus,
    )
    return actor.remote(spec)


@contextmanager
def ray_cluster(config: RayConfig, plan: Sequence[ReplicaSpec]) -> Iterator[None]:
    """Join the Ray cluster of ``config``, or start one with room for the plan, and leave it at the end."""
    options: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": config.log_to_driver}
    if config.address is None:
        # Resources are what the plan asks for: on a small machine replicas share cores rather than wait for ever.
        cpus = max(os.cpu_count() or 1, round(sum(spec.cpus for spec in plan) + 0.5))
        options |= {"address": "local", "num_cpus": cpus, "include_dashboard": False}
    else:
        options["address"] = config.address
    ray.init(**options)
    try:
        yield
    finally:
        ray.shutdown()


class RayRuntime:
    """A plan under supervision, as the process that started it sees it."""

    def __init__(self, controller: ActorHandle, config: RayConfig) -> None:
        self._controller = controller
        self._config = config

    def statuses(self) -> tuple[ReplicaStatus, ...]:
        """Every replica's last known status."""
        answer = ray.get(self._controller.statuses.remote(), timeout=self._config.stop_timeout_s)
        return cast("tuple[ReplicaStatus, ...]", answer)

    def wait_until_up(self, wait: Callable[[float], object], elapsed_s: Callable[[], float]) -> None:
        """Return when every replica is up; ``wait`` sleeps the given seconds, ``elapsed_s`` tells the time since start.

        Raises:
            UnavailableError: a replica cannot start, or the start timeout has passed; names what is missing, and why.
        """
        while missing := [status for status in self.statuses() if not status.is_up]:
            if failed := next((status for status in missing if status.failure), None):
                raise UnavailableError(f"{failed.name} cannot start: {failed.failure}")
            if elapsed_s() > self._config.start_timeout_s:
                names = ", ".join(status.name for status in missing)
                raise UnavailableError(f"not up after {self._config.start_timeout_s:g} s: {names}")
            wait(self._config.poll_interval_s)

    def stop(self) -> None:
        """Drain and end every replica and the controller."""
        with suppress(ray.exceptions.RayError):
            ray.get(self._controller.stop.remote(), timeout=3 * self._config.stop_timeout_s)
        ray.kill(self._controller)


@contextmanager
def ray_runtime(plan: Sequence[ReplicaSpec], config: RayConfig) -> Iterator[RayRuntime]:
    """Carry out a plan under Ray; leaving the context drains and ends it."""
    with ray_cluster(config, plan):
        controller = ray.remote(_PoolController).options(
            name=CONTROLLER_NAME,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=_RESTART_FOREVER,
            num_cpus=0,
        )
        runtime = RayRuntime(controller.remote(tuple(plan), config), config)
        try:
            yield runtime
        finally:
            runtime.stop()
