"""A gRPC server as every daemon runs it: limits, keepalive, health, reflection, the interceptors, and a clean end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from draftmesh.core.errors import ConfigError
from draftmesh.transport.config import ServerConfig
from draftmesh.transport.interceptors import OpenCalls, server_interceptors

_LOG = structlog.get_logger("draftmesh.server")

_SETTLE_S = 0.1
"""For the last statuses to leave, before calls that only look are cut."""

_NEVER_S = 30 * 86_400.0
"""Grace of the stop that only refuses new calls. It must not run out: a grace that ends while another stop completes
makes grpc.aio touch a server that is freed."""

Register = Callable[[grpc.aio.Server], None]
OnDrain = Callable[[], Awaitable[None]]


class RunningServer:
    """A server that takes calls, until it is drained."""

    def __init__(
        self,
        server: grpc.aio.Server,
        health_servicer: health.aio.HealthServicer,
        open_calls: OpenCalls,
        *,
        address: str,
        own_address: str,
        grace_s: float,
        on_drain: OnDrain | None,
    ) -> None:
        """Wrap a started server; made by :func:`serve`."""
        self._server = server
        self._health = health_servicer
        self._open_calls = open_calls
        self._grace_s = grace_s
        self._on_drain = on_drain
        self._drained: asyncio.Task[None] | None = None
        self._refusing: asyncio.Task[None] | None = None
        self.address = address
        """host:port to connect to; a wildcard host is given as it was configured."""

        self.own_address = own_address
        """The same of this process alone; differs when ``address`` is shared."""

    @property
    def open_calls(self) -> int:
        """Calls that do work: without health, reflection and Watch streams."""
        return self._open_calls.count

    async def set_health(self, service: str, *, serving: bool) -> None:
        """Set what the health service says of one service, by its full name; ``""`` is the whole server."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        await self._health.set(service, status)

    async def drain(self, grace_s: float | None = None) -> None:
        """Stop: health says NOT_SERVING, ``on_drain`` runs, then new calls are refused and open ones may finish.

        All of it takes ``grace_s`` at most (None: the configured grace), and ends as soon as no call is open that does
        work. A second call, or the cancellation of the first, joins the drain that is under way.
        """
        if self._drained is None:
            grace_s = self._grace_s if grace_s is None else grace_s
            self._drained = asyncio.get_running_loop().create_task(self._drain(grace_s))
        await asyncio.shield(self._drained)

    async def abort(self) -> None:
        """Stop without grace: open calls end UNAVAILABLE."""
        if self._drained is None:
            await self.drain(0.0)
        else:
            self._drained.cancel()
            await asyncio.wait([self._drained])

    async def _drain(self, grace_s: float) -> None:
        _LOG.info("draining", address=self.address, open_calls=self.open_calls, grace_s=grace_s)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._health.enter_graceful_shutdown()
                    await self._hand_over()
                    await self._finish_calls()
        finally:
            await self._cut()
        _LOG.info("stopped", address=self.address)

    async def _hand_over(self) -> None:
        if self._on_drain is None:
            return
        try:
            await self._on_drain()
        except Exception:
            _LOG.exception("the drain callback failed", address=self.address)

    async def _finish_calls(self) -> None:
        self._refusing = asyncio.get_running_loop().create_task(self._server.stop(_NEVER_S))
        await self._open_calls.wait_until_none()
        await asyncio.wait([self._refusing], timeout=_SETTLE_S)

    async def _cut(self) -> None:
        await self._server.stop(None)
        if self._refusing is not None:
            await self._refusing


@asynccontextmanager
async def serve(
    config: ServerConfig,
    register: Register,
    services: Iterable[str],
    *,
    on_drain: OnDrain | None = None,
) -> AsyncIterator[RunningServer]:
    """Run a server for as long as the context lasts; leaving it drains, a second cancellation meanwhile aborts.

    Args:
        config: addresses, limits and times.
        register: adds the servicers (``add_XxxServicer_to_server``).
        services: full names of the services, for health and reflection.
        on_drain: awaited when the drain starts, to tell peers and hand sessions over.

    Raises:
        ConfigError: the configuration makes no sense, or the address cannot be bound.
    """
    config.validate()
    open_calls = OpenCalls()
    server = grpc.aio.server(interceptors=server_interceptors(open_calls), options=server_options(config))
    health_servicer = await _add_standard_services(server, tuple(services), config)
    register(server)
    address = _bind(server, config.listen)
    own_address = address if config.own_listen is None else _bind(server, config.own_listen)
    await server.start()
    running = RunningServer(
        server,
        health_servicer,
        open_calls,
        address=address,
        own_address=own_address,
        grace_s=config.drain_grace_s,
        on_drain=on_drain,
    )
    _LOG.info("serving", address=running.address)
    try:
        yield running
    finally:
        await _stop(running)


def server_options(config: ServerConfig) -> list[tuple[str, int]]:
    """The channel arguments of a configuration."""
    return [
        ("grpc.so_reuseport", int(config.reuse_port)),
        ("grpc.max_send_message_length", config.max_message_bytes),
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_concurrent_streams", config.max_concurrent_streams),
        ("grpc.server.max_pending_requests", config.max_pending_requests),
        ("grpc.server.max_pending_requests_hard_limit", config.max_pending_requests_hard_limit),
        # Clients ping to estimate bandwidth whenever data comes: to count their pings would cut off honest ones.
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", config.keepalive_time_ms),
        ("grpc.keepalive_timeout_ms", config.keepalive_timeout_ms),
        ("grpc.http2.max_pings_without_data", 0),
    ]


async def _add_standard_services(
    server: grpc.aio.Server, services: tuple[str, ...], config: ServerConfig
) -> health.aio.HealthServicer:
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for service in services:
        await servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    if config.reflection:
        names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    return servicer


def _bind(server: grpc.aio.Server, listen: str) -> str:
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise ConfigError(f"cannot listen on {listen}") from error
    return f"{listen.rpartition(':')[0]}:{port}"


async def _stop(running: RunningServer) -> None:
    try:
        await running.drain()
    except asyncio.CancelledError:
        await running.abort()
        raise
