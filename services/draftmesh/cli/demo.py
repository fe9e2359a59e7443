"""``draftmesh demo``: a large target with and without a small drafter of another tokenizer family, side by side.

The target is the packaged one, made large by function-preserving expansion: it says what the small one says, and
costs what its size costs. Both ways of decoding use the same verifier with all its threads.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated

from rich.console import Console
from rich.table import Table

from draftmesh.cli.deployment import deployment, status_table
from draftmesh.cli.generate import stream_to_console
from draftmesh.cli.options import DEMO, ColorOption, Flat, ModelOptions, PoolOptions, RayOptions
from draftmesh.cli.painting import console_with, legend
from draftmesh.cli.plan import deployment_plan
from draftmesh.client import Client, GenerateOptions, Generation
from draftmesh.coordinator.replicas import ReplicaKind, ReplicaStatus
from draftmesh.core.errors import ConfigError
from draftmesh.demo.prompts import DEMO_PROMPT_COUNT, demo_prompts, spread
from draftmesh.transport.peers import GrpcDrafter, GrpcVerifier

METHODS = ("off", "exact")


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
    """Print the result as one JSON object on the last line."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What was measured; the fields of the JSON object."""

    tokens_per_second_off: float
    tokens_per_second: float
    speedup: float
    acceptance_rate: float
    acceptance_length: float
    identical: bool
    target_parameters: int
    drafter_parameters: int
    temperature: float
    prompts: int
    repeats: int


@dataclass(frozen=True, slots=True)
class _Parameters:
    """Numbers of weights."""

    target: int
    drafter: int


@dataclass(frozen=True, slots=True)
class _Run:
    """One generation and how long a client waited for it."""

    repeat: int
    prompt: int
    generation: Generation
    seconds: float


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
    if not 1 <= options.prompts <= DEMO_PROMPT_COUNT or options.repeats < 1:
        raise ConfigError(f"prompts must be 1 to {DEMO_PROMPT_COUNT} and repeats at least 1")
    console = console_with(color)
    if models.target == DEMO:
        console.print(
            f"expanding the packaged target to {models.demo_parameters / 1e6:.0f} M parameters …", style="dim"
        )
    pools = PoolOptions(listen=f"127.0.0.1:{_free_port()}")
    with deployment(deployment_plan(models, pools), RayOptions(), console) as runtime:
        console.print(status_table(runtime.statuses()))
        parameters = asyncio.run(_parameters(runtime.statuses()))
        with Client(pools.listen) as client:
            result = _compare(client, options, console, parameters)
    console.print(_table(result))
    if options.json:
        print(json.dumps(asdict(result)))


def _compare(client: Client, options: DemoOptions, console: Console, parameters: _Parameters) -> DemoResult:
    prompts = spread(demo_prompts(), options.prompts)
    base = GenerateOptions(max_tokens=options.max_tokens, temperature=options.temperature, seed=options.seed)
    _show(client, prompts[0], base, console)
    runs = {method: list[_Run]() for method in METHODS}
    for method, run in _measure(client, prompts, base, options.repeats):
        runs[method].append(run)
        console.print(f"  {_progress(method, run)}", style="dim", highlight=False)
    return _result(runs, options, parameters)


async def _parameters(statuses: Sequence[ReplicaStatus]) -> _Parameters:
    addresses = {status.kind: status.address for status in statuses}
    async with GrpcVerifier(addresses[ReplicaKind.VERIFIER]) as verifier:
        target = (await verifier.info()).parameters
    async with GrpcDrafter(addresses[ReplicaKind.DRAFTER]) as drafter:
        return _Parameters(target, (await drafter.info()).parameters)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _show(client: Client, prompt: str, options: GenerateOptions, console: Console) -> None:
    console.print(prompt, style="dim", end="", highlight=False, markup=False)
    stream_to_console(client, prompt, replace(options, method="exact"), console)
    console.print()
    legend(console)


def _measure(client: Client, prompts: Sequence[str], base: GenerateOptions, repeats: int) -> Iterator[tuple[str, _Run]]:
    for repeat in range(repeats):
        for index, prompt in enumerate(prompts):
            for method in METHODS:
                started_s = time.monotonic()
                generation = client.generate(prompt, replace(base, method=method))
                yield method, _Run(repeat, index, generation, time.monotonic() - started_s)


def _progress(method: str, run: _Run) -> str:
    rate = run.generation.completion_tokens / run.seconds
    acceptance = f", acceptance {run.generation.ledger.acceptance_rate:.2f}" if method != "off" else ""
    return f"repeat {run.repeat + 1}, prompt {run.prompt + 1}, {method}: {rate:.1f} tokens/s{acceptance}"


def _result(runs: dict[str, list[_Run]], options: DemoOptions, parameters: _Parameters) -> DemoResult:
    rates = {method: _median_rate(runs[method], options.repeats) for method in METHODS}
    ledgers = [run.generation.ledger for run in runs["exact"]]
    rounds = sum(ledger.rounds for ledger in ledgers)
    drafted = sum(ledger.drafted_tokens for ledger in ledgers)
    accepted = sum(ledger.accepted_tokens for ledger in ledgers)
    pairs = zip(runs["off"], runs["exact"], strict=True)
    return DemoResult(
        tokens_per_second_off=round(rates["off"], 2),
        tokens_per_second=round(rates["exact"], 2),
        speedup=round(rates["exact"] / rates["off"], 3),
        acceptance_rate=round(accepted / max(1, drafted), 3),
        acceptance_length=round(1 + accepted / max(1, rounds), 2),
        identical=all(off.generation.data == exact.generation.data for off, exact in pairs),
        target_parameters=parameters.target,
        drafter_parameters=parameters.drafter,
        temperature=options.temperature,
        prompts=len({run.prompt for run in runs["off"]}),
        repeats=options.repeats,
    )


def _median_rate(runs: Sequence[_Run], repeats: int) -> float:
    """The median over repeats of tokens per second over all prompts."""

    def rate(repeat: int) -> float:
        mine = [run for run in runs if run.repeat == repeat]
        return sum(run.generation.completion_tokens for run in mine) / sum(run.seconds for run in mine)

    return statistics.median(rate(repeat) for repeat in range(repeats))


def _table(result: DemoResult) -> Table:
    table = Table("", "without drafting", "with drafting", title=_title(result))
    off, exact = f"{result.tokens_per_second_off:.1f}", f"{result.tokens_per_second:.1f}"
    table.add_row("tokens/s", off, f"{exact} ({result.speedup:.2f}×)")
    table.add_row("acceptance rate", "", f"{result.acceptance_rate:.2f}")
    table.add_row("tokens per round", "1.00", f"{result.acceptance_length:.2f}")
    table.add_row("text", "", "identical" if result.identical else "DIFFERENT")
    return table


def _title(result: DemoResult) -> str:
    target, drafter = result.target_parameters / 1e6, result.drafter_parameters / 1e6
    return (
        f"target of {target:.0f} M parameters (expanded), drafter of {drafter:.1f} M; T = {result.temperature:g}; "
        f"{result.prompts} prompts, median of {result.repeats}"
    )
