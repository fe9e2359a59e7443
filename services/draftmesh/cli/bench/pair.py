"""``draftmesh bench pair``: every method on one pair, in one run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from typing import Annotated

from rich.console import Console

from draftmesh.bench.cores import usable_cores
from draftmesh.bench.pair.methods import BenchPlan, Setting, bench_methods
from draftmesh.bench.pair.result import BenchResult
from draftmesh.cli.bench.pair_tables import print_bench
from draftmesh.cli.options import DEMO, Flat, PoolOptions, ThreadOptions, check_temperatures
from draftmesh.cli.painting import report_console
from draftmesh.cli.plan import deployment_plan
from draftmesh.client import AsyncClient
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.replicas import ReplicaKind, ReplicaSpec
from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_at_least, require_between
from draftmesh.demo.prompts import DEMO_PROMPT_COUNT, demo_prompts, spread
from draftmesh.inspection.psi_cost import PsiMeter
from draftmesh.inspection.served_pair import ServedPair, served_pair
from draftmesh.inspection.sizes import ModelSizes, cost_ratio, model_sizes
from draftmesh.telemetry.logs import configure_logging

ALONE, COUPLED, UNCOUPLED = "alone", "shard-0", "shard-uncoupled"
SETTINGS = (
    Setting("off", "off", ALONE),
    Setting("exact", "exact", COUPLED),
    Setting("exact, independent noise", "exact", UNCOUPLED),
    Setting("tli", "tli", COUPLED),
    Setting("tli-exact", "tli-exact", COUPLED),
    Setting("slrs", "slrs", COUPLED),
    Setting("auto", "auto", COUPLED, is_seeded=False),
    Setting("auto, seeded", "auto", COUPLED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBenchOptions:
    """What is measured."""

    target: str = DEMO
    """The target: a folder or hub name, or "demo": the packaged target, expanded."""

    drafter: tuple[str, ...] = (DEMO,)
    """A drafter to measure the target with, may be given several times, as for "up"."""

    temperatures: tuple[float, ...] = (0.0, 0.7, 1.0)
    """A temperature to measure at, may be given several times."""

    methods: tuple[str, ...] = ()
    """A method to measure, may be given several times; without it all of them, and "off" and "auto"."""

    prompts: int = 3
    """Held-out prompts to generate from, 1 to 16."""

    max_tokens: int = 64
    """Tokens of each generation at most."""

    repeats: int = 3
    """Times that each prompt is generated in each row."""

    seed: int = 7
    """Seed of the first generation's draws; the others count up."""

    json: bool = False
    """Print the result as one JSON object, alone on standard output; all else goes to standard error."""

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The rows of the table."""
        return tuple(setting for setting in SETTINGS if not self.methods or setting.method in self.methods)

    def check(self) -> None:
        """Refuse what cannot be measured, before models are loaded; raises ConfigError or InvalidRequestError."""
        require_between(1, DEMO_PROMPT_COUNT, self, "prompts")
        require_at_least(1, self, "repeats", "max_tokens")
        offered = {setting.method for setting in SETTINGS}
        if unknown := sorted(set(self.methods) - offered):
            raise ConfigError(f"methods must be among {', '.join(sorted(offered))}; got {', '.join(unknown)}")
        check_temperatures(*self.temperatures)


def pair(
    *,
    options: Annotated[PairBenchOptions, Flat] = PairBenchOptions(),
    models: Annotated[ThreadOptions, Flat] = ThreadOptions(),
) -> None:
    """Measure every method, in turns, on a pair that is served here: acceptance, bytes per forward pass, tokens/s.

    The target has all cores, with a drafter or without, and the drafter one of them, unless told otherwise.
    """
    options.check()
    configure_logging(level="error")
    notes, console = Console(stderr=True), report_console(json=options.json)
    psi_meter = PsiMeter.install()  # before a drafter is made

    def progress(line: str) -> None:
        notes.print(f"  {line}", style="dim", highlight=False)

    results = []
    for drafter in options.drafter:
        results.append(asyncio.run(_measure(drafter, options, models, psi_meter, progress)))
        print_bench(results[-1], console)
    if options.json:
        print(json.dumps({"pairs": [asdict(result) for result in results]}))


async def _measure(
    drafter: str, options: PairBenchOptions, models: ThreadOptions, psi_meter: PsiMeter, progress: Callable[[str], None]
) -> BenchResult:
    off_threads = models.off_threads or usable_cores()
    pools = PoolOptions(listen="127.0.0.1:0")
    alone_plan = deployment_plan(replace(models, verifier_threads=off_threads).of(options.target), pools)
    pair_plan = deployment_plan(models.of(options.target, drafter), pools)
    progress(f"loading {options.target} and {drafter}")
    async with AsyncExitStack() as stack:
        alone = await stack.enter_async_context(served_pair(alone_plan))
        served = await stack.enter_async_context(served_pair((*pair_plan, _uncoupled(pair_plan))))
        addresses = {ALONE: alone.address, **{name: served.address_of(name) for name in (COUPLED, UNCOUPLED)}}
        clients = {name: await stack.enter_async_context(AsyncClient(address)) for name, address in addresses.items()}
        rows = await bench_methods(clients, _plan(options), psi_meter=psi_meter, progress=progress)
        return BenchResult(
            target=options.target,
            drafter=drafter,
            is_expanded=options.target == DEMO,
            sizes=await _sizes(served, pair_plan),
            cost_ratio=cost_ratio(await clients[COUPLED].pools()),
            cores=usable_cores(),
            verifier_threads=models.verifier_threads or usable_cores(),
            drafter_threads=models.drafter_threads,
            off_threads=off_threads,
            prompts=options.prompts,
            max_tokens=options.max_tokens,
            repeats=options.repeats,
            rows=rows,
        )


def _plan(options: PairBenchOptions) -> BenchPlan:
    return BenchPlan(
        settings=options.settings,
        prompts=spread(demo_prompts(), options.prompts),
        temperatures=options.temperatures,
        repeats=options.repeats,
        max_tokens=options.max_tokens,
        seed=options.seed,
    )


def _uncoupled(plan: Sequence[ReplicaSpec]) -> ReplicaSpec:
    """A second shard, whose drafters draw with noise of their own."""
    shard = next(spec for spec in plan if spec.kind is ReplicaKind.SHARD)
    config = shard.config
    assert isinstance(config, CoordinatorConfig)
    generation = config.generation
    uncoupled = replace(generation, proposals=replace(generation.proposals, couple_draft_noise=False))
    return replace(shard, name=UNCOUPLED, config=replace(config, shard=1, generation=uncoupled))


async def _sizes(served: ServedPair, plan: Sequence[ReplicaSpec]) -> ModelSizes:
    names = {spec.kind: spec.name for spec in plan}
    verifier, drafter = (served.address_of(names[kind]) for kind in (ReplicaKind.VERIFIER, ReplicaKind.DRAFTER))
    return await model_sizes(verifier, drafter)
