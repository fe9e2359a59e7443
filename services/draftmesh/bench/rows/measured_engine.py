"""An engine in a process of its own, as whoever measures it sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from draftmesh.bench.child import Child, child_process
from draftmesh.bench.rows.engine_process import (
    EngineFailure,
    EngineReady,
    EngineSpec,
    Memory,
    MemoryQuestion,
    serve_engine,
)
from draftmesh.core.errors import UnsupportedError

_LOAD_TIMEOUT_S = 900.0
_STEP_TIMEOUT_S = 300.0


class MeasuredEngine:
    """It has loaded its model and computed its context."""

    def __init__(self, child: Child, ready: EngineReady) -> None:
        self._child = child
        self.parameters = ready.parameters
        self.weight_bytes = ready.weight_bytes
        self.packed_layers = ready.packed_layers

    async def step_ms(self, rows: int) -> float:
        """Milliseconds of one step with so many rows.

        Raises:
            UnavailableError: the process is gone, or hangs.
        """
        return cast("float", await self._ask(rows))

    async def memory(self) -> Memory | None:
        """Memory of its process that is in use; None where the system does not tell."""
        return cast("Memory | None", await self._ask(MemoryQuestion()))

    async def _ask(self, question: object) -> object:
        self._child.pipe.send(question)
        return await self._child.receive(_STEP_TIMEOUT_S)


@asynccontextmanager
async def measured_engine(name: str, spec: EngineSpec) -> AsyncIterator[MeasuredEngine]:
    """Run an engine for as long as the context lasts.

    Raises:
        UnsupportedError: it cannot run this model, or has no room for what will be asked; says why.
        UnavailableError: its process ended, or has not loaded the model in time.
    """
    async with child_process(name, serve_engine, spec) as child:
        answer = await child.receive(_LOAD_TIMEOUT_S)
        if isinstance(answer, EngineFailure):
            raise UnsupportedError(answer.reason)
        assert isinstance(answer, EngineReady)
        yield MeasuredEngine(child, answer)
