"""What takes part in the comparison, and what it hands in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Task:
    """One generation, the same for everybody."""

    prompt_ids: tuple[int, ...]
    temperature: float
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class Served:
    """A finished generation."""

    ids: tuple[int, ...]
    """Generated target tokens, the end token included."""

    seconds: float
    """From the call to its end, as its caller sees it."""

    way: str = ""
    """How it was decoded: draftmesh's method, or what transformers chose; empty without drafting."""

    drafted_tokens: int = 0
    """Target tokens proposed and judged."""

    accepted_tokens: int = 0
    """Of those, accepted."""

    rounds: int = 0
    """Target forwards that judged a draft, or might have."""

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens by the time of the call, prompt included."""
        return len(self.ids) / self.seconds


class Contestant(Protocol):
    """One way of decoding."""

    async def generate(self, task: Task) -> Served:
        """Do one task.

        Raises:
            UnsupportedError: this way does not exist for these models, or it fails on them.
        """
