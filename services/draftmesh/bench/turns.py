"""Ways of decoding that take turns, prompt by prompt: what slows a machine for a while slows all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from draftmesh.bench.rotation import rotated
from draftmesh.bench.spread import Spread
from draftmesh.bench.token_times import Observed
from draftmesh.client import GenerateOptions
from draftmesh.core.errors import ConfigError

Serve = Callable[[str, GenerateOptions], Awaitable[Observed]]
"""Generates from a prompt."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One way of decoding."""

    label: str
    serve: Serve
    options: GenerateOptions


@dataclass(frozen=True, slots=True)
class Prompts:
    """What every turn generates from."""

    texts: tuple[str, ...]
    repeats: int
    seed: int
    """Of the first generation of each turn; the others count up."""


async def take_turns(
    turns: Sequence[Turn], prompts: Prompts, progress: Callable[[str], None]
) -> dict[str, tuple[Observed, ...]]:
    """All generations by their turn's label, in the order of repeats and prompts.

    Each turn generates once from the first prompt, and the first turn a token from each, before anything counts: then
    every prompt is in the verifier's prefix cache for all turns alike. Who goes first changes from prompt to prompt.
    """
    await _warm_up(turns, prompts)
    served: dict[str, list[Observed]] = {turn.label: [] for turn in turns}
    for repeat in range(prompts.repeats):
        for index, text in enumerate(prompts.texts):
            number = repeat * len(prompts.texts) + index
            for turn in rotated(turns, number):
                options = replace(turn.options, seed=prompts.seed + number)
                served[turn.label].append(await turn.serve(text, options))
        rates = (f"{label} {_rate(of):.1f}" for label, of in served.items())
        progress(f"repeat {repeat + 1} of {prompts.repeats}, tokens/s so far: {', '.join(rates)}")
    return {label: tuple(observed) for label, observed in served.items()}


def speedup(served: Sequence[Observed], others: Sequence[Observed], *, after_tokens: int = 0) -> Spread:
    """Tokens per second by those of ``others``, generation by generation, the same prompts in the same order.

    Args:
        served: At least one generation.
        others: What each is compared with.
        after_tokens: Count what follows so many tokens; 0 counts everything from the request on.

    Raises:
        ConfigError: a generation is too short to have anything to count.
    """
    return Spread.of([_ratio(one, other, after_tokens) for one, other in zip(served, others, strict=True)])


def acceptance_rate(served: Sequence[Observed]) -> float:
    """Accepted of all drafted tokens; 0 if none was drafted."""
    drafted = sum(one.generation.ledger.drafted_tokens for one in served)
    return sum(one.generation.ledger.accepted_tokens for one in served) / drafted if drafted else 0.0


def draft_length(served: Sequence[Observed]) -> float:
    """Mean target tokens of the drafts that were judged; 0 if none was."""
    rounds = sum(one.generation.ledger.rounds for one in served)
    return sum(one.generation.ledger.drafted_tokens for one in served) / rounds if rounds else 0.0


async def _warm_up(turns: Sequence[Turn], prompts: Prompts) -> None:
    for turn in turns:
        await turn.serve(prompts.texts[0], replace(turn.options, seed=prompts.seed))
    for text in prompts.texts[1:]:
        await turns[0].serve(text, replace(turns[0].options, max_tokens=1))


def _ratio(one: Observed, other: Observed, after_tokens: int) -> float:
    rates = [(of.times.after(after_tokens) if after_tokens else of.times.rate) for of in (one, other)]
    if not all(rate.tokens for rate in rates):
        raise ConfigError(f"a generation ended within {after_tokens} tokens, so there is nothing to count")
    return rates[0].tokens_per_second / rates[1].tokens_per_second


def _rate(served: Sequence[Observed]) -> float:
    seconds = sum(one.times.seconds for one in served)
    return sum(one.times.tokens for one in served) / seconds if seconds else 0.0
