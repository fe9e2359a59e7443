"""Measures rounds by their spans, with more and more streams at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from draftmesh.bench.network.links import linked_client
from draftmesh.bench.overhead.bare_stream import bare_round_ms
from draftmesh.bench.overhead.result import MOST_MS, Level, OverheadResult, level_of
from draftmesh.bench.overhead.spans import read_spans, round_stages
from draftmesh.bench.overhead.traced_shard import ENTRY, TracedShardConfig
from draftmesh.bench.pair_specs import Members, PairSpecs, members_of
from draftmesh.bench.subject import Pair, subject_of
from draftmesh.client import AsyncClient, GenerateOptions
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.replicas import ReplicaSpec
from draftmesh.core.errors import UnavailableError

_PATIENCE_MS = 5000.0


@dataclass(frozen=True, slots=True)
class OverheadPlan:
    """What to measure."""

    streams: tuple[int, ...]
    prompts: tuple[str, ...]
    """Streams take turns with them."""

    options: GenerateOptions
    """Of every generation."""

    generations: int
    """Of each stream, one after the other."""


async def measure(
    specs: PairSpecs, pair: Pair, plan: OverheadPlan, folder: Path, progress: Callable[[str], None]
) -> OverheadResult:
    """Measure all levels on one pair, each with a shard of its own; ``folder`` is for spans.

    Raises:
        UnavailableError: a daemon cannot start, or no draft was judged.
    """
    progress(f"starting {pair.target} and {pair.drafter}")
    async with members_of(specs) as members:
        subject = await subject_of(pair, members)
        levels = []
        for streams in plan.streams:
            level = await _level(specs, members, plan, streams, folder / f"spans-{streams}.jsonl")
            progress(f"{streams} streams: {level.rounds} rounds, overhead p50 {level.overhead_ms.p50:.2f} ms")
            levels.append(level)
    progress("a bare stream")
    bare_ms = await bare_round_ms(levels[0].stages_ms["forward"].p50)
    alone = next((level.overhead_ms.p50 <= MOST_MS for level in levels if level.streams == 1), None)
    return OverheadResult(
        subject=subject,
        method=plan.options.method,
        temperature=plan.options.temperature,
        max_tokens=plan.options.max_tokens or 0,
        levels=tuple(levels),
        bare_ms=bare_ms,
        holds=alone,
    )


async def _level(specs: PairSpecs, members: Members, plan: OverheadPlan, streams: int, path: Path) -> Level:
    """So many streams at a time, on a shard that writes its spans to ``path``."""
    async with linked_client(_traced(specs, path), members) as client:
        await client.generate(plan.prompts[0], plan.options)
        since_ns = time.time_ns()  # spans have the time of day
        await asyncio.gather(*(_stream(client, plan, number) for number in range(streams)))
        until_ns = time.time_ns()
    rounds = round_stages(read_spans(path), since_ns=since_ns, until_ns=until_ns)
    if not rounds:
        raise UnavailableError(f"with {streams} streams no draft was judged, so there is no round to measure")
    return level_of(streams, rounds)


async def _stream(client: AsyncClient, plan: OverheadPlan, number: int) -> None:
    """One generation after the other."""
    for generation in range(plan.generations):
        prompt = plan.prompts[(number + generation) % len(plan.prompts)]
        await client.generate(prompt, replace(plan.options, seed=number * plan.generations + generation))


def _traced(specs: PairSpecs, path: Path) -> ReplicaSpec:
    """The shard, which keeps its spans, always drafts, and does one thing after the other, so that stages add up."""
    config = specs.shard.config
    assert isinstance(config, CoordinatorConfig)
    studied = always_drafting(config)
    values = {field.name: getattr(studied, field.name) for field in fields(CoordinatorConfig)}
    return replace(specs.shard, entry=ENTRY, config=TracedShardConfig(**values, spans_path=path))


def always_drafting(config: CoordinatorConfig) -> CoordinatorConfig:
    """A shard that waits for every draft, has it judged before the next, and never finds that drafting does not pay."""
    generation = config.generation
    pace = replace(generation.pace, min_wait_ms=_PATIENCE_MS, max_wait_ms=_PATIENCE_MS)
    length = replace(generation.draft_length, is_adaptive=False)
    return replace(config, generation=replace(generation, rounds_ahead=0, pace=pace, draft_length=length))
