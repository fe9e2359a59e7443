"""How the speeds of two rows compare that have served the same prompts, with the same seeds where there are seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.inspection.measuring import Timed, tokens_per_second


@dataclass(frozen=True, slots=True)
class Share:
    """A speed as a share of another one."""

    value: float
    error: float
    """Standard error."""


def share(served: Sequence[Timed], others: Sequence[Timed]) -> Share:
    """Tokens per second of ``served`` by that of ``others``, the same generations in the same order.

    What a prompt or a seed makes easy for both does not count as error: the logarithm of the share is linearised in the
    sums of tokens and seconds, pair by pair (Cochran, Sampling Techniques (1977), section 6.4).
    """
    value = tokens_per_second(served) / tokens_per_second(others)
    first, second = _deviations(served), _deviations(others)
    squares = sum((a - b) ** 2 for a, b in zip(first, second, strict=True))
    count = len(first)
    return Share(value, value * math.sqrt(squares * count / (count - 1)) if count > 1 else 0.0)


def _deviations(served: Sequence[Timed]) -> list[float]:
    """What each generation adds to the logarithm of the rate."""
    tokens = sum(one.generation.completion_tokens for one in served)
    seconds = sum(one.seconds for one in served)
    return [one.generation.completion_tokens / tokens - one.seconds / seconds for one in served]
