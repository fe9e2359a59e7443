"""``draftmesh bench rows``: what verifying costs by its number of rows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from rich.console import Console

from draftmesh.bench.cores import usable_cores
from draftmesh.bench.gpus import memory_gb_per_s
from draftmesh.bench.reports import as_json, write
from draftmesh.bench.rows.costs import measure_costs
from draftmesh.bench.rows.engine_process import EngineSpec
from draftmesh.bench.rows.measured_engine import measured_engine
from draftmesh.bench.rows.result import (
    GRAPHS,
    KERNELS,
    PACKED,
    RAGGED,
    UNPACKED,
    EngineCosts,
    RowsResult,
    packing_memory,
)
from draftmesh.cli.bench.rows_tables import print_rows
from draftmesh.cli.options import Flat
from draftmesh.cli.painting import report_console
from draftmesh.core.errors import ConfigError
from draftmesh.demo.models import ExpandedDtype, expanded_target
from draftmesh.demo.prompts import demo_prompts
from draftmesh.engine.config import EngineConfig
from draftmesh.telemetry.logs import configure_logging

EngineChange = Callable[[EngineConfig], EngineConfig]
_WAYS: dict[str, dict[str, EngineChange]] = {
    "cpu": {
        PACKED: lambda config: replace(config, packed_linear=True),
        UNPACKED: lambda config: replace(config, packed_linear=False),
    },
    "cuda": {
        GRAPHS: lambda config: config,
        KERNELS: lambda config: replace(config, step_graphs=False),
        RAGGED: lambda config: replace(config, attention="sdpa_ragged"),
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOptions:
    """What is measured."""

    parameters: tuple[int, ...] = (230_000_000, 870_000_000)
    """A size of the packaged target after its function-preserving expansion, may be given several times."""

    rows: tuple[int, ...] = (1, 2, 4, 8, 16)
    """A number of rows, may be given several times."""

    context_tokens: int = 256
    """Tokens that a verification finds in the KV pool."""

    device: str = "cpu"
    """torch device: "cpu", to compare packed weights with plain ones, or "cuda", to compare kinds of attention."""

    threads: int = 0
    """CPU threads; 0 takes all cores."""

    repeats: int = 10
    """Steps of each size that are measured."""

    cache_dir: Path = Path("~/.cache/draftmesh")
    """Where expanded demo targets are kept (four bytes a parameter; for a GPU, in bfloat16, two)."""

    output: Path | None = None
    """Write figures (rows.json) and plot here."""

    json: bool = False
    """Print the result as one JSON object, alone on standard output; all else goes to standard error."""

    def check(self) -> None:
        """Raise ConfigError for what cannot be measured, before models are loaded."""
        if not self.parameters or not self.rows or len(set(self.rows)) < len(self.rows):
            raise ConfigError("there must be parameters and rows, and no number of rows twice")
        if min(*self.parameters, *self.rows, self.context_tokens, self.repeats) < 1 or self.threads < 0:
            raise ConfigError("numbers must be at least 1, threads at least 0")
        if self.device_type not in _WAYS:
            raise ConfigError(f"device must be cpu or cuda, got {self.device}")

    @property
    def device_type(self) -> str:
        """``device`` without its number."""
        return self.device.partition(":")[0]

    @property
    def dtype(self) -> ExpandedDtype:
        """The reference on a CPU, and what checkpoints for GPUs come in."""
        return "float32" if self.device_type == "cpu" else "bfloat16"


def rows(*, options: Annotated[RowsOptions, Flat] = RowsOptions()) -> None:
    """Measure one verification by its rows, through the engine that verifiers run.

    On a CPU with packed weights and plain ones, on a GPU with each attention and with steps replayed as graphs; in
    turns, each in a process of its own.
    """
    options.check()
    configure_logging(level="error")
    notes = Console(stderr=True)

    def progress(line: str) -> None:
        notes.print(f"  {line}", style="dim", highlight=False)

    result = asyncio.run(_measure(options, progress))
    print_rows(result, report_console(json=options.json))
    if options.output is not None:
        for path in write(result, options.output, "rows"):
            progress(f"wrote {path}")
    if options.json:
        print(json.dumps(as_json(result)))


async def _measure(options: RowsOptions, progress: Callable[[str], None]) -> RowsResult:
    threads = options.threads or usable_cores()
    engines: list[EngineCosts] = []
    for parameters in options.parameters:
        ways = "; ".join(_WAYS[options.device_type])
        progress(f"loading a target of {parameters / 1e6:.0f} M parameters: {ways}")
        model = expanded_target(options.cache_dir.expanduser(), parameters=parameters, dtype=options.dtype)
        engines += await _measure_model(str(model), threads, options, progress)
    return RowsResult(
        device=options.device,
        dtype=options.dtype,
        threads=threads,
        context_tokens=options.context_tokens,
        memory_gb_per_s=memory_gb_per_s(options.device),
        engines=tuple(engines),
        memory=packing_memory(engines),
    )


async def _measure_model(
    model: str, threads: int, options: RowsOptions, progress: Callable[[str], None]
) -> list[EngineCosts]:
    async with AsyncExitStack() as stack:
        engines = {
            name: await stack.enter_async_context(measured_engine(name, _spec(model, threads, options, change)))
            for name, change in _WAYS[options.device_type].items()
        }
        costs = await measure_costs(engines, options.rows, repeats=options.repeats, progress=progress)
        return [
            EngineCosts(
                parameters=engine.parameters,
                way=name,
                weight_bytes=engine.weight_bytes,
                packed_layers=engine.packed_layers,
                costs=costs[name],
                memory=await engine.memory(),
            )
            for name, engine in engines.items()
        ]


def _spec(model: str, threads: int, options: RowsOptions, change: EngineChange) -> EngineSpec:
    config = EngineConfig(
        model=model,
        dtype=options.dtype,
        device=options.device,
        threads=threads,
        kv_cache_tokens=2 * (options.context_tokens + max(options.rows) + 16),
    )
    return EngineSpec(
        config=change(config),
        context="\n".join(demo_prompts()),
        context_tokens=options.context_tokens,
        most_rows=max(options.rows),
    )
