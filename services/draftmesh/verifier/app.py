"""Puts a verifier together, serves it, and takes it down again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from draftmesh.core.endpoint import LoadReport, VerifierInfo
from draftmesh.engine.building import build_engine
from draftmesh.engine.calibration import calibrate
from draftmesh.engine.engine import Engine
from draftmesh.engine.engine_thread import EngineThread
from draftmesh.engine.loading import LoadedModel, load_model
from draftmesh.engine.stats import EngineStats
from draftmesh.telemetry.metrics import VerifierMetrics, meter
from draftmesh.transport.config import ServerConfig
from draftmesh.transport.load_board import LoadBoard
from draftmesh.transport.server import RunningServer, serve
from draftmesh.transport.signals import stop_signals
from draftmesh.verifier.admission import METHODS
from draftmesh.verifier.config import VerifierConfig
from draftmesh.verifier.gathering import Gathering
from draftmesh.verifier.rounds import RoundLimits
from draftmesh.verifier.service import SERVICE_NAME, VerifierServicer
from draftmesh.verifier.sessions import Sessions, Target

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A verifier that serves."""

    server: RunningServer
    info: VerifierInfo
    engine: EngineThread
    board: LoadBoard

    @property
    def address(self) -> str:
        """host:port to connect to."""
        return self.server.address

    @property
    def stats(self) -> EngineStats:
        """The engine right now."""
        return self.engine.engine.stats

    @property
    def load(self) -> LoadReport:
        """What those who watch are told."""
        return self.board.report()

    async def drain(self, grace_s: float | None = None) -> None:
        """Stop serving, letting open sessions move within ``grace_s`` (None: the configured grace)."""
        await self.server.drain(grace_s)


async def run(config: VerifierConfig) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal stops at once.

    Raises:
        ConfigError, UnsupportedModelError, UnsupportedTokenizerError: it cannot serve with this configuration.
    """
    with stop_signals() as stop:
        async with running(config):
            await stop.wait()


@asynccontextmanager
async def running(config: VerifierConfig) -> AsyncIterator[Running]:
    """Load the configured model and serve it for as long as the context lasts; leaving it drains.

    Raises:
        ConfigError, UnsupportedModelError, UnsupportedTokenizerError: it cannot serve with this configuration.
    """
    config.validate()
    loaded = await asyncio.to_thread(load_model, config.engine)
    async with serving(config, loaded) as verifier:
        yield verifier


@asynccontextmanager
async def serving(config: VerifierConfig, loaded: LoadedModel) -> AsyncIterator[Running]:
    """Serve a model that is loaded already.

    Raises:
        ConfigError: the address cannot be bound, or the KV pool does not fit into memory.
    """
    config.validate()
    gathering = Gathering()
    async with _engine_thread(config, loaded, gathering) as engine:
        board = LoadBoard(
            "verifier",
            lambda: engine.engine.stats.load,
            max_sessions=config.max_sessions,
            retry_after_ms=config.retry_after_ms,
        )
        target = _target(config, loaded, engine, gathering)
        sessions = Sessions(target, board, VerifierMetrics.create(meter()))
        async with _server(config, loaded, sessions, board) as server:
            _log.info("verifier ready", model=target.info.model, target_digest=target.info.target_digest.hex()[:16])
            yield Running(server, target.info, engine, board)


@asynccontextmanager
async def _engine_thread(
    config: VerifierConfig, loaded: LoadedModel, gathering: Gathering
) -> AsyncIterator[EngineThread]:
    def patience_s(engine: Engine) -> float:
        if not config.gathers or gathering.all_are_there:
            return 0.0
        return gathering.wait_s(engine.ready, engine.stats.costs, time.monotonic())

    build = partial(_build_engine, config, loaded)
    engine = EngineThread(build, threads=config.engine.threads, patience_s=patience_s)
    try:
        await asyncio.to_thread(engine.start)
        yield engine
    finally:
        await asyncio.to_thread(engine.close)


def _build_engine(config: VerifierConfig, loaded: LoadedModel) -> Engine:
    engine = build_engine(loaded, config.engine)
    if config.calibrate:
        calibrate(engine, loaded.tokenizer.vocabulary)
    return engine


@asynccontextmanager
async def _server(
    config: VerifierConfig, loaded: LoadedModel, sessions: Sessions, board: LoadBoard
) -> AsyncIterator[RunningServer]:
    servicer = VerifierServicer(
        sessions,
        board,
        loaded.tokenizer,
        watch_interval_s=config.watch_interval_s,
        open_timeout_s=config.open_timeout_s,
    )

    async def announce_drain() -> None:
        sessions.drain(round(config.drain_grace_s * 1000))

    server_config = ServerConfig(listen=config.listen, drain_grace_s=config.drain_grace_s)
    async with serve(server_config, servicer.register, (SERVICE_NAME,), on_drain=announce_drain) as server:
        yield server


def _target(config: VerifierConfig, loaded: LoadedModel, engine: EngineThread, gathering: Gathering) -> Target:
    limits = RoundLimits(config.max_waiting_rounds, config.kept_rounds, config.flush_interval_ms, config.lookup_tokens)
    vocabulary = loaded.tokenizer.vocabulary
    return Target(_info(config, loaded, engine), vocabulary, loaded.vocabulary_size, engine, limits, gathering)


def _info(config: VerifierConfig, loaded: LoadedModel, engine: EngineThread) -> VerifierInfo:
    limits = engine.engine.limits
    return VerifierInfo(
        model=config.public_name,
        target_digest=loaded.digest,
        vocabulary_digest=loaded.tokenizer.vocabulary.digest,
        tokenizer_digest=loaded.tokenizer.digest,
        methods=METHODS,
        max_context_tokens=limits.sequence_tokens,
        max_draft_tokens=min(config.max_draft_tokens, limits.token_budget_tokens - 1),
        max_sessions=config.max_sessions,
        parameters=loaded.parameters,
        dtype=str(loaded.dtype).removeprefix("torch."),
        device=str(loaded.device),
    )
