"""``draftmesh bench rows``: what verifying costs by its number of rows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console

from draftmesh.bench.cores import usable_cores
from draftmesh.bench.reports import as_json, write
from draftmesh.bench.rows.costs import measure_costs
from draftmesh.bench.rows.engine_process import EngineSpec
from draftmesh.bench.rows.measured_engine import measured_engine
from draftmesh.bench.rows.result import EngineCosts, RowsResult, packing_memory
from draftmesh.cli.bench.rows_tables import print_rows
from draftmesh.cli.options import Flat
from draftmesh.cli.painting import report_console
from draftmesh.core.errors import ConfigError
from draftmesh.demo.models import expanded_target
from draftmesh.demo.prompts import demo_prompts
from draftmesh.engine.config import EngineConfig
from draftmesh.telemetry.logs import configure_logging

PACKED, UNPACKED = "packed", "unpacked"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOptions:
    """What is measured."""

    parameters: tuple[int, ...] = (230_000_000, 870_000_000)
    """A size of the packaged target after its function-preserving expansion, may be given several times."""

    rows: tuple[int, ...] = (1, 2, 4, 8, 16)
    """A number of rows, may be given several times."""

    context_tokens: int = 256
    """Tokens that a verification finds in the KV pool."""

    threads: int = 0
    """CPU threads; 0 takes all cores."""

    repeats: int = 10
    """Steps of each size that are measured."""

    cache_dir: Path = Path("~/.cache/draftmesh")
    """Where expanded demo targets are kept (four bytes a parameter)."""

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


def rows(*, options: Annotated[RowsOptions, Flat] = RowsOptions()) -> None:
    """Measure one verification by its rows, packed and unpacked, through the engine that verifiers run.

    Both layouts are measured in turns, each in a process of its own.
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
        progress(f"loading a target of {parameters / 1e6:.0f} M parameters, packed and unpacked")
        model = expanded_target(options.cache_dir.expanduser(), parameters=parameters)
        engines += await _measure_model(str(model), threads, options, progress)
    return RowsResult(threads, options.context_tokens, tuple(engines), packing_memory(engines))


async def _measure_model(
    model: str, threads: int, options: RowsOptions, progress: Callable[[str], None]
) -> list[EngineCosts]:
    async with AsyncExitStack() as stack:
        engines = {
            name: await stack.enter_async_context(measured_engine(name, _spec(model, threads, options, name == PACKED)))
            for name in (PACKED, UNPACKED)
        }
        costs = await measure_costs(engines, options.rows, repeats=options.repeats, progress=progress)
        return [
            EngineCosts(
                parameters=engine.parameters,
                is_packed=name == PACKED,
                packed_layers=engine.packed_layers,
                costs=costs[name],
                memory=await engine.memory(),
            )
            for name, engine in engines.items()
        ]


def _spec(model: str, threads: int, options: RowsOptions, is_packed: bool) -> EngineSpec:
    return EngineSpec(
        config=EngineConfig(
            model=model,
            dtype="float32",
            threads=threads,
            packed_linear=is_packed,
            kv_cache_tokens=2 * (options.context_tokens + max(options.rows) + 16),
        ),
        context="\n".join(demo_prompts()),
        context_tokens=options.context_tokens,
        most_rows=max(options.rows),
    )
