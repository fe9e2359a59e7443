"""Puts a coordinator shard together, serves it, and takes it down again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from random import Random

import structlog

from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.forwarding import Forwarding
from draftmesh.coordinator.pools.pool import Connect, DrafterPool, Pool, VerifierPool
from draftmesh.coordinator.replicas import Membership
from draftmesh.coordinator.service import SERVICE_NAME, CoordinatorServicer
from draftmesh.coordinator.sessions.store import MemoryStore
from draftmesh.coordinator.shard import Pools, Shard
from draftmesh.core.protocols import Drafter, Verifier
from draftmesh.telemetry.metrics import CoordinatorMetrics, meter
from draftmesh.telemetry.tracing import tracer
from draftmesh.transport.config import ServerConfig, Timeouts
from draftmesh.transport.peers import GrpcDrafter, GrpcVerifier
from draftmesh.transport.server import RunningServer, serve
from draftmesh.transport.signals import stop_signals

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A shard that serves."""

    server: RunningServer
    shard: Shard
    forwarding: Forwarding

    @property
    def address(self) -> str:
        """host:port at which this shard, and no other, is reached."""
        return self.server.own_address

    def update_membership(self, membership: Membership) -> None:
        """Use these drafters, verifiers and peers from now on."""
        self.shard.pools.drafters.set_addresses(membership.drafters)
        self.shard.pools.verifiers.set_addresses(membership.verifiers)
        self.forwarding.set_addresses(membership.shards)

    async def drain(self, grace_s: float | None = None) -> None:
        """Stop serving, letting sessions finish within ``grace_s`` (None: the configured grace)."""
        await self.server.drain(grace_s)


async def run(config: CoordinatorConfig) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal stops at once.

    Raises:
        ConfigError: it cannot serve with this configuration.
    """
    with stop_signals() as stop:
        async with running(config):
            await stop.wait()


@dataclass(frozen=True, slots=True)
class Connections:
    """How a shard reaches the members of its pools, given their addresses."""

    drafter: Connect[Drafter] = GrpcDrafter
    verifier: Connect[Verifier] = GrpcVerifier


@asynccontextmanager
async def running(config: CoordinatorConfig, connections: Connections | None = None) -> AsyncIterator[Running]:
    """Serve a shard for as long as the context lasts; leaving it drains.

    Raises:
        ConfigError: it cannot serve with this configuration.
    """
    config.validate()
    random = Random()
    async with _pools(config, connections or Connections(), random) as pools:
        shard = Shard(
            config,
            pools,
            MemoryStore(config.memory_store, time),
            clock=time,
            random=random,
            tracer=tracer(),
            metrics=CoordinatorMetrics.create(meter()),
        )
        forwarding = Forwarding(config.peers, Timeouts())
        async with aclosing(forwarding), _serve(config, shard, forwarding) as server:
            _log.info("coordinator ready", shard=config.shard, address=server.address)
            yield Running(server, shard, forwarding)


@asynccontextmanager
async def _pools(config: CoordinatorConfig, connections: Connections, random: Random) -> AsyncIterator[Pools]:
    drafters: DrafterPool = Pool(connections.drafter, config.pool_backoff, random)
    verifiers: VerifierPool = Pool(connections.verifier, config.pool_backoff, random)
    async with drafters.open(config.drafters), verifiers.open(config.verifiers):
        yield Pools(drafters, verifiers)


@asynccontextmanager
async def _serve(config: CoordinatorConfig, shard: Shard, forwarding: Forwarding) -> AsyncIterator[RunningServer]:
    servicer = CoordinatorServicer(shard, forwarding)
    server_config = ServerConfig(
        listen=config.listen,
        reuse_port=config.reuse_port,
        own_listen=config.own_listen,
        drain_grace_s=config.drain_grace_s,
    )
    async with serve(server_config, servicer.register, (SERVICE_NAME,), on_drain=shard.drain) as server:
        yield server
