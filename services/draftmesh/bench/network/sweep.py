"""Measures the speed-up of drafting over round trip times between a shard and one of its peers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from draftmesh.bench.network.links import Delays, linked_client
from draftmesh.bench.network.overlap import without_overlap
from draftmesh.bench.network.result import Link, NetworkResult, Point, criterion
from draftmesh.bench.pair_specs import Members, PairSpecs, members_of
from draftmesh.bench.spread import Spread
from draftmesh.bench.subject import Pair, subject_of
from draftmesh.bench.token_times import observe
from draftmesh.bench.turns import Prompts, Turn, acceptance_rate, draft_length, speedup, take_turns
from draftmesh.client import GenerateOptions
from draftmesh.coordinator.config import CoordinatorConfig

OFF, WITH, WITHOUT = "off", "with overlap", "without overlap"
STATED_RTT_MS = 20.0
"""The round trip time that the criterion names, beside that of one verification."""


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What to measure."""

    link: Link
    rtts_ms: tuple[float, ...]
    """Beside 0, the stated round trip time and that of one verification, which are always measured."""

    prompts: Prompts
    options: GenerateOptions
    """Of the generations that draft."""


async def sweep(specs: PairSpecs, pair: Pair, plan: SweepPlan, progress: Callable[[str], None]) -> NetworkResult:
    """Measure every round trip time, on daemons in processes of their own.

    Raises:
        UnavailableError: a daemon cannot start.
        UnsupportedMethodError: the method is not offered for this pair.
    """
    progress(f"starting {pair.target} and {pair.drafter}")
    async with members_of(specs) as members:
        subject = await subject_of(pair, members)
        verification_ms = round(subject.verification_ms(_draft_tokens(specs, plan) + 1), 1)
        rtts_ms = sorted({0.0, STATED_RTT_MS, verification_ms, *plan.rtts_ms})
        points = [await measure_point(specs, members, plan, rtt_ms, progress) for rtt_ms in rtts_ms]
    return NetworkResult(
        subject=subject,
        link=plan.link,
        method=plan.options.method,
        temperature=plan.options.temperature,
        prompts=len(plan.prompts.texts),
        repeats=plan.prompts.repeats,
        max_tokens=plan.options.max_tokens or 0,
        verification_ms=verification_ms,
        points=tuple(points),
        criteria=tuple(criterion(points, rtt_ms) for rtt_ms in (STATED_RTT_MS, verification_ms)),
    )


async def measure_point(
    specs: PairSpecs, members: Members, plan: SweepPlan, rtt_ms: float, progress: Callable[[str], None]
) -> Point:
    """Measure one round trip time, on shards that start without any experience."""
    progress(f"round trip of {rtt_ms:g} ms to the {plan.link}")
    async with _turns(specs, members, plan, rtt_ms) as turns:
        served = await take_turns(turns, plan.prompts, progress)
    return Point(
        rtt_ms=rtt_ms,
        off_tokens_per_second=Spread.of([one.times.rate.tokens_per_second for one in served[OFF]]),
        with_overlap=speedup(served[WITH], served[OFF]),
        without_overlap=speedup(served[WITHOUT], served[OFF]),
        acceptance_rate=acceptance_rate(served[WITH]),
        draft_length=draft_length(served[WITH]),
    )


@asynccontextmanager
async def _turns(specs: PairSpecs, members: Members, plan: SweepPlan, rtt_ms: float) -> AsyncIterator[list[Turn]]:
    delays = Delays(drafter_ms=rtt_ms) if plan.link == "drafter" else Delays(verifier_ms=rtt_ms)
    shard, alone = specs.shard, specs.shard_with(without_overlap)
    async with linked_client(shard, members, delays) as client, linked_client(alone, members, delays) as other:
        yield [
            Turn(OFF, partial(observe, client), replace(plan.options, method="off")),
            Turn(WITH, partial(observe, client), plan.options),
            Turn(WITHOUT, partial(observe, other), plan.options),
        ]


def _draft_tokens(specs: PairSpecs, plan: SweepPlan) -> int:
    config = specs.shard.config
    assert isinstance(config, CoordinatorConfig)
    return plan.options.max_draft_tokens or config.draft_tokens
