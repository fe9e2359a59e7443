"""How long to wait before trying something again that has failed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class BackoffConfig:
    """Exponential backoff with jitter."""

    first_ms: float = 20.0
    """Upper bound of the first delay."""

    factor: float = 2.0
    """How the bound grows from one failure to the next."""

    longest_ms: float = 2000.0
    """The bound grows no further."""


class Backoff:
    """Delays that grow with every failure in a row."""

    def __init__(self, config: BackoffConfig, random: Random) -> None:
        self._config = config
        self._random = random
        self._bound_ms = config.first_ms

    def next_s(self) -> float:
        """Seconds to wait now: between half the bound and the bound."""
        delay_ms = self._bound_ms * (0.5 + 0.5 * self._random.random())
        self._bound_ms = min(self._config.longest_ms, self._bound_ms * self._config.factor)
        return delay_ms / 1e3

    def reset(self) -> None:
        """Something has succeeded."""
        self._bound_ms = self._config.first_ms
