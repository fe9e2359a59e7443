"""The books, as a value: what drafting cost and what it won, for a session, a pair or a pool.

A ledger is a sum of deltas, one for each thing that happened, so a session's, a drafter's and a verifier's books
are kept by the same additions.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, fields
from itertools import zip_longest


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts since the start of what the ledger is about. Tokens are target tokens."""

    rounds: int = 0
    """Rounds that judged a draft."""

    drafted_tokens: int = 0
    """Drafted and judged."""

    accepted_tokens: int = 0
    """Of those, accepted."""

    committed_tokens: int = 0
    committed_bytes: int = 0
    target_steps: int = 0
    """Forward passes of the target."""

    free_run_tokens: int = 0
    """Decoded without a draft."""

    wasted_bytes: int = 0
    """Drafted, and thrown away without being judged."""

    draft_wait_ms: float = 0.0
    verify_wait_ms: float = 0.0
    stale_rounds: int = 0
    drafter_failures: int = 0
    elapsed_ms: float = 0.0
    accepted_per_position: tuple[int, ...] = ()
    drafted_per_position: tuple[int, ...] = ()

    @property
    def acceptance_rate(self) -> float:
        """Accepted tokens as a share of the drafted ones; 0 before any draft."""
        return self.accepted_tokens / self.drafted_tokens if self.drafted_tokens else 0.0

    @property
    def acceptance_length(self) -> float:
        """Mean tokens committed by a round that judged a draft, its recovered or bonus token included."""
        return 1.0 + self.accepted_tokens / self.rounds if self.rounds else 1.0

    @property
    def bytes_per_target_step(self) -> float:
        """Committed bytes per forward pass of the target: comparable across tokenizers."""
        return self.committed_bytes / self.target_steps if self.target_steps else 0.0

    @property
    def accepted_bytes(self) -> float:
        """Bytes of the accepted tokens, taken for as long as committed ones are in the mean."""
        return self.committed_bytes * self.accepted_tokens / self.committed_tokens if self.committed_tokens else 0.0

    @property
    def accepted_bytes_per_second(self) -> float:
        """Accepted bytes per second of elapsed time."""
        return 1e3 * self.accepted_bytes / self.elapsed_ms if self.elapsed_ms else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Committed tokens per second of elapsed time."""
        return 1e3 * self.committed_tokens / self.elapsed_ms if self.elapsed_ms else 0.0


@dataclass(frozen=True, slots=True)
class Decoded:
    """How fast a session was once it had begun: what followed its first verdict."""

    tokens: int = 0
    """Target tokens committed."""

    work_steps: float = 0.0
    """What the target's steps for it were worth, in steps without a draft: as many of those take as long, by the
    target's cost curve."""

    seconds: float = 0.0


_SUMMED = tuple(field.name for field in fields(Ledger) if not field.name.endswith("_per_position"))
_numbers = operator.attrgetter(*_SUMMED)


def add(first: Ledger, second: Ledger) -> Ledger:
    """The sum, field by field and position by position. Every token passes several of these, so it is quick."""
    numbers = zip(_SUMMED, map(operator.add, _numbers(first), _numbers(second)), strict=True)
    return Ledger(
        **dict(numbers),
        accepted_per_position=_by_position(first.accepted_per_position, second.accepted_per_position),
        drafted_per_position=_by_position(first.drafted_per_position, second.drafted_per_position),
    )


def _by_position(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    if first and second:
        return tuple([a + b for a, b in zip_longest(first, second, fillvalue=0)])
    return first or second
