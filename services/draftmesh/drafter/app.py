"""The drafter as a process, or inside another one: builds its parts, serves them, and stops cleanly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from draftmesh.core.endpoint import DrafterInfo
from draftmesh.drafter.backend import Backend
from draftmesh.drafter.config import DrafterConfig
from draftmesh.drafter.ngram_backend import NgramBackend
from draftmesh.drafter.service import SERVICE_NAME, DrafterServicer
from draftmesh.drafter.streams import Daemon, DraftStreams
from draftmesh.drafter.vocabularies import VocabularyStore
from draftmesh.telemetry.metrics import DrafterMetrics, meter
from draftmesh.transport.config import ServerConfig
from draftmesh.transport.load_board import LoadBoard
from draftmesh.transport.server import RunningServer, serve
from draftmesh.transport.signals import stop_signals

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A drafter that serves."""

    address: str
    """host:port to connect to."""

    info: DrafterInfo
    server: RunningServer
    """For draining it before its context ends."""


@asynccontextmanager
async def running(config: DrafterConfig) -> AsyncIterator[Running]:
    """A drafter for as long as the context lasts; leaving it drains.

    Raises:
        ConfigError: the configuration is wrong, the model is not there, or the address is taken.
        UnsupportedError: the model or its tokenizer would draft wrongly.
    """
    config.validate()
    metrics = DrafterMetrics.create(meter())
    async with open_backend(config, metrics) as backend, serving(config, backend, metrics) as server:
        _LOG.info("drafting", drafter=backend.info.name, kind=config.kind, parameters=backend.info.parameters)
        yield Running(server.address, backend.info, server)


async def run(config: DrafterConfig) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal stops at once.

    Raises:
        ConfigError, UnsupportedError: as :func:`running`.
    """
    with stop_signals() as stop:
        async with running(config):
            await stop.wait()


@asynccontextmanager
async def open_backend(config: DrafterConfig, metrics: DrafterMetrics) -> AsyncIterator[Backend]:
    """What drafts: loaded on entering, closed on leaving."""
    if config.engine is None:
        yield NgramBackend(config)
        return
    from draftmesh.drafter.model_backend import ModelBackend  # noqa: PLC0415 (an n-gram drafter's image has no torch)

    backend = ModelBackend(config, config.engine, metrics)
    await asyncio.to_thread(backend.start)
    try:
        yield backend
    finally:
        await asyncio.to_thread(backend.close)


@asynccontextmanager
async def serving(config: DrafterConfig, backend: Backend, metrics: DrafterMetrics) -> AsyncIterator[RunningServer]:
    """A server over a backend that is there already."""
    board = LoadBoard("drafter", backend.load, max_sessions=config.max_sessions, retry_after_ms=config.retry_after_ms)
    vocabularies = VocabularyStore(config.max_vocabularies)
    daemon = Daemon(config, backend, board, vocabularies, metrics, clock=time)
    streams = DraftStreams(daemon)
    servicer = DrafterServicer(daemon, streams)

    async def on_drain() -> None:
        streams.announce_drain()

    server_config = ServerConfig(listen=config.listen, drain_grace_s=config.drain_grace_s)
    async with serve(server_config, servicer.register, (SERVICE_NAME,), on_drain=on_drain) as server:
        yield server
