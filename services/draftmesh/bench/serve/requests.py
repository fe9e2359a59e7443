"""The requests of a load, and when they arrive."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from random import Random


@dataclass(frozen=True, slots=True)
class Request:
    """One generation."""

    prompt: str
    max_tokens: int
    seed: int


def mixed_requests(
    prompts: tuple[str, ...], count: int, *, least_tokens: int, most_tokens: int, seed: int
) -> tuple[Request, ...]:
    """``count`` requests whose prompts take turns and whose lengths are drawn evenly; the same for the same seed.

    Lengths differ so that sessions come and go one by one, as they do from people.
    """
    random = Random(seed)
    return tuple(
        Request(prompts[number % len(prompts)], random.randint(least_tokens, most_tokens), seed + number)
        for number in range(count)
    )


def poisson_arrivals(rate_per_s: float, count: int, *, seed: int) -> tuple[float, ...]:
    """When each of ``count`` requests arrives, seconds after the start, at ``rate_per_s`` on average.

    The gaps are drawn exponentially and independently: clients do not know of each other.
    """
    random = Random(seed)
    return tuple(accumulate(random.expovariate(rate_per_s) for _ in range(count)))
