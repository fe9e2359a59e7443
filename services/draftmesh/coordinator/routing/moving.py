"""When a session leaves its drafter for a better one that is free.

Moving costs a stream and a prefill, and what is believed of drafters is unsure and changes with every session that
comes or goes. So:

* The other one must be better by a margin, and by more than the doubt in both estimates (``Estimate.exceeds``): a
  session that runs goes by what is known. One that begins goes by what may be, and tries what is new.
* A session goes back to no drafter that it has left, and moves a few times at most. So it never goes to and fro.
* Sessions move to one drafter one by one, with pauses, so that its rate shows what the last one has cost it before
  the next one follows. Else all would leave for the one that is idle, and make it the slowest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from draftmesh.coordinator.routing.candidate import Candidate
from draftmesh.core.protocols import Clock
from draftmesh.core.ranges import require_not_negative, require_positive


@dataclass(frozen=True, slots=True)
class MovingConfig:
    """Numbers of the rule."""

    margin: float = 0.25
    """How much better a drafter must be for a session to move to it, as a share."""

    doubts: float = 3.0
    """By how many standard deviations of what is unsure it must be so."""

    check_ms: float = 1000.0
    """A session looks for a better drafter about so often."""

    pause_ms: float = 2000.0
    """After a session has moved to a drafter, others do not for so long."""

    max_moves: int = 3
    """Of one session; 0: sessions stay where they are."""

    def validate(self) -> None:
        """Raise ConfigError, naming the field, if a value makes no sense."""
        require_not_negative(self, "margin", "doubts", "pause_ms", "max_moves")
        require_positive(self, "check_ms")


class Arrivals:
    """When sessions have last moved to each drafter; shared by the sessions of a shard."""

    def __init__(self, config: MovingConfig, clock: Clock) -> None:
        self._pause_s = config.pause_ms / 1e3
        self._clock = clock
        self._at_s: dict[str, float] = {}

    def note(self, address: str) -> None:
        """A session moves there now."""
        self._at_s = {known: at_s for known, at_s in self._at_s.items() if not self._is_over(at_s)}
        self._at_s[address] = self._clock.monotonic()

    def allow(self, address: str) -> bool:
        """Whether the last one was long enough ago."""
        at_s = self._at_s.get(address)
        return at_s is None or self._is_over(at_s)

    def _is_over(self, at_s: float) -> bool:
        return self._clock.monotonic() - at_s >= self._pause_s


class Moves:
    """Of one session."""

    def __init__(self, config: MovingConfig, arrivals: Arrivals) -> None:
        self._config = config
        self._arrivals = arrivals
        self._left: list[str] = []

    @property
    def left(self) -> frozenset[str]:
        """Drafters that it has left for better ones."""
        return frozenset(self._left)

    def may_leave(self, own: Candidate, best_bytes_per_s: float) -> bool:
        """Whether it could, whoever is free, if no drafter has a higher rate than ``best_bytes_per_s``."""
        if own.rate is None or len(self._left) >= self._config.max_moves:
            return False
        return best_bytes_per_s > (1.0 + self._config.margin) * own.rate.mean

    def leave(self, own: Candidate, free: Iterable[Candidate]) -> Candidate | None:
        """Leave the drafter for one of those that are ``free``; returns it, or None if the session stays."""
        better = [candidate for candidate in free if self._is_better(candidate, own)]
        if len(self._left) >= self._config.max_moves or not better:
            return None
        chosen = max(better, key=_mean)
        self._left.append(own.address)
        self._arrivals.note(chosen.address)
        return chosen

    def _is_better(self, candidate: Candidate, own: Candidate) -> bool:
        if own.rate is None or candidate.rate is None or candidate.address in {own.address, *self._left}:
            return False
        is_better = candidate.rate.exceeds(own.rate, margin=self._config.margin, doubts=self._config.doubts)
        return is_better and self._arrivals.allow(candidate.address)


def _mean(candidate: Candidate) -> float:
    return candidate.rate.mean if candidate.rate is not None else 0.0
