"""``draftmesh bench peers``: draftmesh beside transformers' own generation, in one run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from rich.console import Console

from draftmesh.bench.cores import pinned_to, usable_cores
from draftmesh.bench.peers.lineup import Clients, lineup, peer_labels, running_peers
from draftmesh.bench.peers.result import PeersResult, Setup
from draftmesh.bench.peers.summary import sum_up
from draftmesh.bench.peers.transformers_process import Assistance, PeerSpec
from draftmesh.bench.peers.turns import TurnPlan, take_turns
from draftmesh.bench.processes import Replicas, replica_processes, without_prefix_caches
from draftmesh.bench.reports import as_json, write
from draftmesh.cli.bench.peers_tables import print_peers
from draftmesh.cli.options import (
    DEMO,
    NGRAM,
    Flat,
    ModelOptions,
    PairOptions,
    PoolOptions,
    SplitOptions,
    check_temperatures,
)
from draftmesh.cli.painting import report_console
from draftmesh.cli.plan import deployment_plan, model_path, target_path
from draftmesh.client import AsyncClient
from draftmesh.coordinator.replicas import ReplicaKind, ReplicaSpec
from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_at_least, require_between
from draftmesh.core.text import TERMINAL_ROLES
from draftmesh.demo.prompts import PROMPT_COUNT, all_prompts, spread
from draftmesh.inspection.sizes import cost_ratio, model_sizes
from draftmesh.telemetry.logs import configure_logging
from draftmesh.tokenization.hub import model_folder
from draftmesh.tokenization.loading import load_tokenizer
from draftmesh.tokenization.tokenizer import Tokenizer

_TOKENIZER_FILES = ("*.json", "*.jinja", "*.model")
_GREEDY_METHODS = ("exact",)
_SAMPLING_METHODS = ("exact", "auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersOptions:
    """What is measured."""

    target: str = DEMO
    """The target: a folder or hub name, or "demo": the packaged target, expanded."""

    drafter: str = DEMO
    """The drafter, which is the peers' assistant, too: a folder or hub name, "demo", "demo-unigram", or "ngram"."""

    temperatures: tuple[float, ...] = (0.0, 1.0)
    """A temperature to measure at, may be given several times."""

    methods: tuple[str, ...] = ()
    """A method that drafts, may be given several times; the first one is compared by name at every temperature.
    Without it: exact, and auto above T = 0."""

    prompts: int = 8
    """Held-out prompts to generate from, 1 to 200."""

    max_tokens: int = 128
    """Tokens of each generation at most. The prompt is computed alike by everybody: of few tokens it would be much."""

    repeats: int = 3
    """Times that everybody generates from each prompt."""

    seed: int = 7
    """Seed of the first generation's draws; the others count up."""

    threads: int = 0
    """Cores for everybody: CPU threads of every peer and of "off"; 0 takes all cores."""

    pinned: bool = True
    """With fewer threads than cores, run everything, clients and coordinator included, on that many cores."""

    auto_warm_up: int = 16
    """Generations that "auto" gets before it is measured."""

    output: Path | None = None
    """Write figures (peers.json) and plots here."""

    json: bool = False
    """Print the result as one JSON object, alone on standard output; all else goes to standard error."""

    def methods_at(self, temperature: float) -> tuple[str, ...]:
        """Methods that draft at a temperature, the one that is compared by name first."""
        return self.methods or (_SAMPLING_METHODS if temperature > 0 else _GREEDY_METHODS)

    def check(self, models: PairOptions) -> None:
        """Refuse what cannot be measured, before models are loaded.

        Raises:
            ConfigError, InvalidRequestError: an option makes no sense.
        """
        require_between(1, PROMPT_COUNT, self, "prompts")
        require_at_least(1, self, "repeats", "max_tokens")
        if not self.temperatures or len(set(self.temperatures)) < len(self.temperatures):
            raise ConfigError("temperatures must be different ones, and at least one")
        if min(self.threads, self.auto_warm_up) < 0:
            raise ConfigError("threads and auto_warm_up must not be negative")
        if models.quantization is not None:
            raise ConfigError("peers are not quantised, so the target must not be either")
        check_temperatures(*self.temperatures)


def peers(
    *,
    options: Annotated[PeersOptions, Flat] = PeersOptions(),
    models: Annotated[SplitOptions, Flat] = SplitOptions(),
) -> None:
    """Measure draftmesh beside transformers' plain and assisted generation, in turns, with equal cores and dtype.

    All have a KV cache, and none keeps the prompt's from one generation to the next. The peers are transformers as a
    user gets it: its default assistant schedule, SLEM for greedy decoding and TLI for sampling.
    """
    options.check(models)
    configure_logging(level="error")
    cores = usable_cores()
    threads = options.threads or cores
    notes = Console(stderr=True)

    def progress(line: str) -> None:
        notes.print(f"  {line}", style="dim", highlight=False)

    is_pinned = options.pinned and threads < cores
    with pinned_to(threads) if is_pinned else nullcontext():
        split = replace(models, verifier_threads=models.verifier_threads or threads)
        result = asyncio.run(_measure(options, split, threads, progress, is_pinned=is_pinned))
    print_peers(result, report_console(json=options.json))
    if options.output is not None:
        for path in write(result, options.output, "peers"):
            progress(f"wrote {path}")
    if options.json:
        print(json.dumps(as_json(result)))


async def _measure(
    options: PeersOptions, models: SplitOptions, threads: int, progress: Callable[[str], None], *, is_pinned: bool
) -> PeersResult:
    methods = {temperature: options.methods_at(temperature) for temperature in options.temperatures}
    labels = frozenset(label for one in methods for label in peer_labels(one, is_assisted=options.drafter != NGRAM))
    progress(f"loading {options.target} and {options.drafter}, and transformers with each of its ways")
    tokenizer = load_tokenizer(model_folder(_target(options, models), _TOKENIZER_FILES))
    spec = _peer_spec(options, models, threads, tokenizer)
    async with _served(options, models, threads) as served, running_peers(spec, labels) as peers:
        entries = lineup(peers, served.clients, methods, auto_warm_up=options.auto_warm_up)
        await take_turns(entries, _turn_plan(options, tokenizer), progress=progress)
        drafting = {temperature: drafting[0] for temperature, drafting in methods.items()}
        return sum_up(entries, drafting, await _setup(options, models, threads, served, is_pinned=is_pinned))


@dataclass(frozen=True, slots=True)
class _Served:
    """draftmesh, as it takes part."""

    pair: AsyncClient
    alone: AsyncClient
    replicas: Replicas
    """Of the pair."""

    @property
    def clients(self) -> Clients:
        return Clients(alone=self.alone, pair=self.pair)


@asynccontextmanager
async def _served(options: PeersOptions, models: SplitOptions, threads: int) -> AsyncIterator[_Served]:
    """The pair; beside it the target alone, unless the pair's has all the threads, too."""
    async with AsyncExitStack() as stack:

        async def serve(plan: Sequence[ReplicaSpec]) -> tuple[Replicas, AsyncClient]:
            replicas = await stack.enter_async_context(replica_processes(plan))
            return replicas, await stack.enter_async_context(AsyncClient(replicas.address))

        replicas, pair = await serve(_plan(models.of(options.target, options.drafter)))
        alone = pair
        if models.verifier_threads != threads:
            _, alone = await serve(_plan(replace(models, verifier_threads=threads).of(options.target)))
        yield _Served(pair, alone, replicas)


def _plan(models: ModelOptions) -> tuple[ReplicaSpec, ...]:
    """Without prefix caches, as the peers have none."""
    return without_prefix_caches(deployment_plan(models, PoolOptions(listen="127.0.0.1:0")))


def _target(options: PeersOptions, models: SplitOptions) -> str:
    return target_path(models.of(options.target))


def _peer_spec(options: PeersOptions, models: SplitOptions, threads: int, tokenizer: Tokenizer) -> PeerSpec:
    vocabulary = tokenizer.vocabulary
    return PeerSpec(
        target=_target(options, models),
        drafter=model_path(options.drafter),
        assistance=Assistance.NONE,
        threads=threads,
        dtype=_dtype(models),
        device=models.device,
        end_ids=tuple(token for role in sorted(TERMINAL_ROLES) for token in vocabulary.ids_of_role(role)),
    )


def _dtype(models: PairOptions) -> str:
    """What ``auto`` is to the engine."""
    return "float32" if models.dtype == "auto" and models.device == "cpu" else models.dtype


def _turn_plan(options: PeersOptions, tokenizer: Tokenizer) -> TurnPlan:
    prompts = spread(all_prompts(), options.prompts)
    return TurnPlan(
        prompts=tuple(tuple(tokenizer.encode_prompt(prompt)) for prompt in prompts),
        repeats=options.repeats,
        max_tokens=options.max_tokens,
        seed=options.seed,
    )


async def _setup(
    options: PeersOptions, models: SplitOptions, threads: int, served: _Served, *, is_pinned: bool
) -> Setup:
    addresses = {status.kind: status.address for status in served.replicas.statuses.values()}
    return Setup(
        target=options.target,
        drafter=options.drafter,
        is_expanded=options.target == DEMO,
        sizes=await model_sizes(addresses[ReplicaKind.VERIFIER], addresses[ReplicaKind.DRAFTER]),
        cost_ratio=cost_ratio(await served.pair.pools()),
        dtype=_dtype(models),
        threads=threads,
        verifier_threads=models.verifier_threads,
        drafter_threads=models.drafter_threads,
        is_pinned=is_pinned,
        prompts=options.prompts,
        repeats=options.repeats,
        max_tokens=options.max_tokens,
    )
