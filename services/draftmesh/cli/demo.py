"""``draftmesh demo``: a large target with and without a small drafter of another tokenizer family, side by side.

The target is the packaged one, made large by function-preserving expansion: it says what the small one says, and
costs what its size costs. Both ways of decoding use the same verifier with all its threads.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated

from rich.console import Console

from draftmesh.cli.comparison import METHODS, DemoResult, compare, comparison_table
from draftmesh.cli.deployment import deployment, status_table
from draftmesh.cli.generate import stream_to_console
from draftmesh.cli.options import DEMO, ColorOption, Flat, ModelOptions, PoolOptions, RayOptions, check_temperatures
from draftmesh.cli.painting import console_with, legend
from draftmesh.cli.plan import deployment_plan
from draftmesh.client import Client, GenerateOptions
from draftmesh.coordinator.replicas import ReplicaKind, ReplicaStatus
from draftmesh.core.ranges import require_at_least, require_between
from draftmesh.demo.prompts import DEMO_PROMPT_COUNT, demo_prompts, spread
from draftmesh.inspection.measuring import Timed
from draftmesh.inspection.sizes import ModelSizes, model_sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the demo measures."""

    prompts: int = 3
    """Held-out prompts to generate from, 1 to 16."""

    max_tokens: int = 96
    """Tokens of each generation at most."""

    temperature: float = 0.0
    """0 is greedy; above it, draws share keyed noise, so that the texts can still be compared."""

    seed: int = 7
    """Seed of the draws above temperature 0."""

    repeats: int = 3
    """Times that each prompt is generated with each method; the medians are shown."""

    json: bool = False
    """Print the result as one JSON object, alone on standard output; all else goes to standard error."""


def demo(
    *,
    options: Annotated[DemoOptions, Flat] = DemoOptions(),
    models: Annotated[ModelOptions, Flat] = ModelOptions(),
    color: ColorOption = "auto",
) -> None:
    """Show what drafting does: the packaged target made large, helped by a small drafter with another tokenizer.

    Runs a deployment of its own under Ray, streams one generation in two colours, and measures in turns, with and
    without drafting, on all cores.
    """
    require_between(1, DEMO_PROMPT_COUNT, options, "prompts")
    require_at_least(1, options, "repeats")
    check_temperatures(options.temperature)
    console = console_with(color, json=options.json)
    if models.target == DEMO:
        console.print(
            f"expanding the packaged target to {models.demo_parameters / 1e6:.0f} M parameters …", style="dim"
        )
    pools = PoolOptions(listen=f"127.0.0.1:{_free_port()}")
    with deployment(deployment_plan(models, pools), RayOptions(), console) as runtime:
        console.print(status_table(runtime.statuses()))
        sizes = asyncio.run(_sizes(runtime.statuses()))
        with Client(pools.listen) as client:
            result = _compare(client, options, console, sizes)
    console.print(comparison_table(result))
    if options.json:
        print(json.dumps(asdict(result)))


def _compare(client: Client, options: DemoOptions, console: Console, sizes: ModelSizes) -> DemoResult:
    prompts = spread(demo_prompts(), options.prompts)
    base = GenerateOptions(max_tokens=options.max_tokens, temperature=options.temperature, seed=options.seed)
    _show(client, prompts[0], base, console)
    runs = {method: [list[Timed]() for _ in range(options.repeats)] for method in METHODS}
    for repeat in range(options.repeats):
        for index, prompt in enumerate(prompts):
            for method in METHODS:
                run = _timed(client, prompt, replace(base, method=method))
                runs[method][repeat].append(run)
                place = f"repeat {repeat + 1}, prompt {index + 1}"
                console.print(f"  {place}, {_progress(run)}", style="dim", highlight=False)
    return compare(runs, sizes, options.temperature)


async def _sizes(statuses: Sequence[ReplicaStatus]) -> ModelSizes:
    addresses = {status.kind: status.address for status in statuses}
    return await model_sizes(addresses[ReplicaKind.VERIFIER], addresses[ReplicaKind.DRAFTER])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _show(client: Client, prompt: str, options: GenerateOptions, console: Console) -> None:
    console.print(prompt, style="dim", end="", highlight=False, markup=False)
    stream_to_console(client, prompt, replace(options, method="exact"), console)
    console.print()
    legend(console)


def _timed(client: Client, prompt: str, options: GenerateOptions) -> Timed:
    started_s = time.monotonic()
    return Timed(client.generate(prompt, options), time.monotonic() - started_s)


def _progress(run: Timed) -> str:
    generation = run.generation
    acceptance = f", acceptance {generation.ledger.acceptance_rate:.2f}" if generation.method != "off" else ""
    return f"{generation.method}: {generation.completion_tokens / run.seconds:.1f} tokens/s{acceptance}"
