"""Measures every scenario against ``off`` on the same target, session by session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from draftmesh.bench.guard.result import GuardResult, Outcome
from draftmesh.bench.guard.scenarios import LEAST_RATIO, Scenario, scenarios
from draftmesh.bench.guard.stopping import hanging
from draftmesh.bench.network.links import linked_client
from draftmesh.bench.pair_specs import Members, PairSpecs, members_of
from draftmesh.bench.processes import replica_process
from draftmesh.bench.spread import Spread
from draftmesh.bench.subject import Pair, subject_of
from draftmesh.bench.token_times import Observed, observe
from draftmesh.bench.turns import Prompts, Turn, acceptance_rate, draft_length, speedup, take_turns
from draftmesh.client import AsyncClient, GenerateOptions
from draftmesh.core.errors import UnavailableError

OFF, DRAFTING = "off", "drafting"
_READY_ATTEMPTS = 600
_POLL_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class GuardPlan:
    """What to measure."""

    prompts: Prompts
    options: GenerateOptions
    """Of the generations that draft."""

    skipped_tokens: int
    """Of each session, that are not counted: the coordinator finds out in them what drafting is worth."""

    hang_after_tokens: int
    """Of a session, when its drafter hangs."""

    only: tuple[str, ...] = ()
    """Beginnings of the labels of the scenarios to measure; none: all."""

    def chooses(self, scenario: Scenario) -> bool:
        """Whether it is to be measured."""
        return not self.only or scenario.label.startswith(self.only)


async def guard(
    specs: PairSpecs, pair: Pair, plan: GuardPlan, folder: Path, progress: Callable[[str], None]
) -> GuardResult:
    """Measure all chosen scenarios on one verifier, each with a shard of its own.

    Args:
        specs: With one drafter, which has a model.
        pair: Its names.
        plan: What to measure.
        folder: For a model with random weights.
        progress: Is told what is going on.

    Raises:
        ConfigError: the drafter has no model.
        UnavailableError: a daemon cannot start.
    """
    chosen = [one for one in scenarios(specs.drafters[0], folder, seed=plan.prompts.seed) if plan.chooses(one)]
    progress(f"starting {pair.target} and {pair.drafter}")
    async with members_of(specs) as members:
        subject = await subject_of(pair, members)
        outcomes = [await _measure(specs, scenario, members, plan, progress) for scenario in chosen]
    return GuardResult(
        subject=subject,
        method=plan.options.method,
        prompts=len(plan.prompts.texts),
        repeats=plan.prompts.repeats,
        max_tokens=plan.options.max_tokens or 0,
        skipped_tokens=plan.skipped_tokens,
        outcomes=tuple(outcomes),
    )


async def _measure(
    specs: PairSpecs, scenario: Scenario, members: Members, plan: GuardPlan, progress: Callable[[str], None]
) -> Outcome:
    """Measure a scenario with its own drafter, if it has one."""
    progress(scenario.label)
    if scenario.drafter is None:
        return await _outcome(specs, scenario, members, plan, progress)
    async with replica_process(scenario.drafter) as drafter:
        return await _outcome(specs, scenario, Members(members.verifier, (drafter,)), plan, progress)


async def _outcome(
    specs: PairSpecs, scenario: Scenario, members: Members, plan: GuardPlan, progress: Callable[[str], None]
) -> Outcome:
    options = scenario.options(plan.options)
    prompts = replace(plan.prompts, texts=scenario.texts(plan.prompts.texts, plan.prompts.seed))
    async with linked_client(specs.shard_with(scenario.change_shard), members, scenario.delays) as client:
        hanging_serve = partial(_serve_hanging, client, members.drafters[0].pid, plan.hang_after_tokens)
        turns = (
            Turn(OFF, partial(observe, client), replace(options, method="off")),
            Turn(DRAFTING, hanging_serve if scenario.hangs else partial(observe, client), options),
        )
        served = await take_turns(turns, prompts, progress)
        step_ms = await _drafter_step_ms(client)
    drafted, alone = served[DRAFTING], served[OFF]
    ratio = speedup(drafted, alone, after_tokens=plan.skipped_tokens)
    ledgers = [one.generation.ledger for one in drafted]
    return Outcome(
        label=scenario.label,
        temperature=options.temperature,
        off_tokens_per_second=Spread.of([_rate(one, plan.skipped_tokens) for one in alone]),
        ratio=ratio,
        acceptance_rate=acceptance_rate(drafted),
        draft_length=draft_length(drafted),
        drafted_share=sum(one.rounds for one in ledgers) / max(1, sum(one.target_steps for one in ledgers)),
        drafter_step_ms=step_ms,
        holds=ratio.median >= LEAST_RATIO,
    )


async def _serve_hanging(
    client: AsyncClient, pid: int, hang_after_tokens: int, prompt: str, options: GenerateOptions
) -> Observed:
    """A session whose drafter hangs from some token on; afterwards it is waited for, until it serves again."""

    def watch(tokens: int) -> None:
        if tokens >= hang_after_tokens:
            hang.begin()

    with hanging(pid) as hang:
        observed = await observe(client, prompt, options, on_tokens=watch)
    await _until_drafter_serves(client)
    return observed


async def _until_drafter_serves(client: AsyncClient) -> None:
    """Until the shard's pool has a drafter that is ready; raises UnavailableError if it never has."""
    for _ in range(_READY_ATTEMPTS):
        if any(member.ready for member in await client.pools() if member.kind == "drafter"):
            return
        await asyncio.sleep(_POLL_INTERVAL_S)
    raise UnavailableError("the drafter did not come back after it had hung")


async def _drafter_step_ms(client: AsyncClient) -> float:
    costs = [member.load.costs for member in await client.pools() if member.kind == "drafter"]
    return costs[0][0].milliseconds if costs and costs[0] else 0.0


def _rate(observed: Observed, skipped_tokens: int) -> float:
    return observed.times.after(skipped_tokens).tokens_per_second
