"""Serves prompts and sums up what came back: acceptance, bytes per forward pass of the target, tokens per second."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Protocol

from draftmesh.client import GenerateOptions, Generation
from draftmesh.client.options import Prompt
from draftmesh.core.ledger import add


class Generator(Protocol):
    """What answers prompts; ``client.AsyncClient`` does."""

    async def generate(self, prompt: Prompt, options: GenerateOptions) -> Generation:
        """Generate and wait for the end."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A generation, and how long a client waited for it."""

    generation: Generation
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Totals over some generations."""

    generations: int
    tokens: int
    """Target tokens committed."""

    drafted_tokens: int
    """Target tokens drafted and judged."""

    acceptance_rate: float
    """Accepted of the drafted ones."""

    acceptance_error: float
    """Standard error of that rate, from how much the generations differ (as of a ratio of means; 0 for one alone)."""

    acceptance_length: float
    """Mean tokens committed by a round that judged a draft."""

    accepted_bytes_per_target_step: float
    """Bytes of accepted draft tokens per forward pass of the target."""

    tokens_per_second: float
    """As the client sees them, one generation after the other."""


async def serve_prompts(
    client: Generator, prompts: Sequence[str], options: GenerateOptions, *, seed: int | None
) -> tuple[Timed, ...]:
    """Generate from each prompt, one after the other, with seeds that count up from ``seed``, or none.

    Raises:
        UnsupportedMethodError: the method is not offered for this pair.
    """
    served = []
    for index, prompt in enumerate(prompts):
        keyed = replace(options, seed=None if seed is None else seed + index)
        started_s = time.monotonic()
        generation = await client.generate(prompt, keyed)
        served.append(Timed(generation, time.monotonic() - started_s))
    return tuple(served)


def sum_up(served: Sequence[Timed]) -> Figures:
    """The figures of at least one generation."""
    ledgers = [one.generation.ledger for one in served]
    tokens = [token for one in served for token in one.generation.tokens]
    total = reduce(add, ledgers)
    return Figures(
        generations=len(served),
        tokens=len(tokens),
        drafted_tokens=total.drafted_tokens,
        acceptance_rate=total.acceptance_rate,
        acceptance_error=_ratio_error([(ledger.accepted_tokens, ledger.drafted_tokens) for ledger in ledgers]),
        acceptance_length=total.acceptance_length,
        accepted_bytes_per_target_step=sum(token.byte_length for token in tokens if token.drafted)
        / max(1, total.target_steps),
        tokens_per_second=tokens_per_second(served),
    )


def _ratio_error(parts: Sequence[tuple[int, int]]) -> float:
    """Standard error of Σa / Σd over (a, d), which are not alike: Cochran, Sampling Techniques (1977), section 6.4."""
    accepted, drafted = sum(a for a, _ in parts), sum(d for _, d in parts)
    if len(parts) < 2 or not drafted:
        return 0.0
    rate = accepted / drafted
    squares = sum((a - rate * d) ** 2 for a, d in parts)
    return math.sqrt(squares * len(parts) / (len(parts) - 1)) / drafted


def tokens_per_second(served: Sequence[Timed]) -> float:
    """All tokens by all seconds."""
    return sum(one.generation.completion_tokens for one in served) / sum(one.seconds for one in served)


def methods_chosen(served: Sequence[Timed]) -> dict[str, int]:
    """How many sessions had each method; more than one method only where ``auto`` chose."""
    return dict(sorted(Counter(one.generation.method for one in served).items()))
