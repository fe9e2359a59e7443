"""A drafter on a machine that is too slow: every forward of its model takes a multiple of its time.

A daemon like any other, which a plan names as its replica's entry. The rest of each forward's time is slept, so a slow
drafter does not take the processor from anybody here, as it would not on a machine of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from draftmesh.core.errors import ConfigError
from draftmesh.drafter.app import Running, serving
from draftmesh.drafter.config import DrafterConfig
from draftmesh.drafter.model_backend import ModelBackend
from draftmesh.engine.attention.register import AttentionContext
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.decoders.decoder import Decoder
from draftmesh.engine.loading import LoadedModel, load_model
from draftmesh.telemetry.metrics import DrafterMetrics, meter

ENTRY = f"{__name__}:running"
"""For a replica's specification."""


@dataclass(frozen=True, slots=True)
class SlowDrafterConfig:
    """A drafter and how slow it is."""

    drafter: DrafterConfig
    slowdown: float = 20.0
    """How many times as long a forward of its model takes; at least 1."""


@asynccontextmanager
async def running(config: SlowDrafterConfig) -> AsyncIterator[Running]:
    """A slow drafter for as long as the context lasts; leaving it drains.

    Raises:
        ConfigError: it has no model to slow down, or the configuration is wrong in another way.
    """
    config.drafter.validate()
    if config.drafter.engine is None or config.slowdown < 1:
        raise ConfigError("only a drafter with a model can be slowed down, by a factor of at least 1")
    metrics = DrafterMetrics.create(meter())
    load = partial(_load_slowed, config.slowdown)
    backend = ModelBackend(config.drafter, config.drafter.engine, metrics, load)
    await asyncio.to_thread(backend.start)
    try:
        async with serving(config.drafter, backend, metrics) as server:
            yield Running(server.address, backend.info, server)
    finally:
        await asyncio.to_thread(backend.close)


class SlowDecoder:
    """A decoder whose forwards take ``slowdown`` times as long; satisfies ``engine.decoders.decoder.Decoder``."""

    def __init__(self, decoder: Decoder, slowdown: float) -> None:
        self._decoder = decoder
        self._slowdown = slowdown

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._decoder.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the hidden states."""
        return self._decoder.dtype

    def logits(
        self, ids: Sequence[int], positions: Sequence[int], wanted: Sequence[int], attention: AttentionContext
    ) -> Tensor:
        """The same [len(wanted), vocab], later."""
        started_s = time.monotonic()
        logits = self._decoder.logits(ids, positions, wanted, attention)
        time.sleep((self._slowdown - 1) * (time.monotonic() - started_s))
        return logits


def _load_slowed(slowdown: float, config: EngineConfig) -> LoadedModel:
    loaded = load_model(config)
    prepared = replace(loaded.prepared, decoder=SlowDecoder(loaded.prepared.decoder, slowdown))
    return replace(loaded, prepared=prepared)
