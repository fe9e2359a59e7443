"""What drafters have shown: bytes of their drafts accepted per second of session time.

Bytes, because drafters of any tokenizer are compared; accepted ones, because what the target says anyway is no
drafter's merit; all the time that a session spends with a drafter, because waiting for a draft, and drafting in vain,
is what a bad one costs.

Of what a drafter has shown, older windows count less than newer ones, so that one that has become slow or good is
noticed; and all of it fades with time, so that one that was bad is tried again.
"""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Clock
from draftmesh.core.ranges import require_positive, require_up_to

_LEAST_WINDOWS = 0.05
"""What is known by less is taken for forgotten."""


@dataclass(frozen=True, slots=True)
class RatesConfig:
    """Numbers of the estimates."""

    window_tokens: int = 64
    """Committed tokens after which a session says what its drafter has got accepted: one observation."""

    window_noise: float = 0.5
    """How much the windows of one drafter are taken to scatter: relative standard deviation of their rates, above 0.

    They do by 0.75 to 1.8 (the demo's drafters, whose drafts are seldom accepted), and by less where more is accepted.
    Thompson sampling that believes a little more than it should loses less while drafters stay as they are (Chapelle
    and Li, 2011, on reshaping the posterior)."""

    drafter_spread: float = 0.5
    """How much drafters differ: relative standard deviation of their rates, above 0."""

    forgetting: float = 0.97
    """What an earlier window of a drafter counts when it has another one, in (0, 1]."""

    half_life_s: float = 900.0
    """After so long a window counts half."""

    failure_ms: float = 1000.0
    """A failure counts as a window in which nothing was accepted for so long."""

    max_kinds: int = 256
    """Kinds of traffic that are remembered; the one that had no session for longest is forgotten."""

    def validate(self) -> None:
        """Raise ConfigError, naming the field, if a value makes no sense."""
        require_positive(self, "window_tokens", "half_life_s", "failure_ms", "max_kinds")
        require_up_to(10, self, "window_noise", "drafter_spread")
        require_up_to(1, self, "forgetting")


@dataclass(frozen=True, slots=True)
class Tally:
    """Windows, the bytes accepted in them, and the seconds that they took."""

    windows: float = 0.0
    accepted_bytes: float = 0.0
    seconds: float = 0.0

    @property
    def is_forgotten(self) -> bool:
        """Whether too little is left to go by."""
        return self.windows < _LEAST_WINDOWS or self.seconds <= 0.0

    @property
    def bytes_per_s(self) -> float:
        """Accepted bytes per second; of a tally that is not forgotten."""
        return self.accepted_bytes / self.seconds

    def plus(self, other: Tally, factor: float = 1.0) -> Tally:
        """The sum with ``factor`` of the other one."""
        return Tally(
            self.windows + factor * other.windows,
            self.accepted_bytes + factor * other.accepted_bytes,
            self.seconds + factor * other.seconds,
        )


class DrafterRate:
    """What one drafter has shown in one kind of traffic."""

    def __init__(self, digest: bytes, config: RatesConfig, clock: Clock) -> None:
        self.digest = digest
        self._config = config
        self._clock = clock
        self._tally = Tally()
        self._faded_to_s = clock.monotonic()

    @property
    def tally(self) -> Tally:
        """What is left of it now."""
        now_s = self._clock.monotonic()
        kept = 0.5 ** ((now_s - self._faded_to_s) / self._config.half_life_s)
        self._tally, self._faded_to_s = Tally().plus(self._tally, kept), now_s
        return self._tally

    def record(self, seen: Tally) -> None:
        """A session has seen this."""
        self._tally = seen.plus(self.tally, self._config.forgetting**seen.windows)


class Meter:
    """Measures one session's time with one drafter, and records it window by window.

    The time up to the first verdict is left out: the session spent some of it on the prompt, or without this drafter.
    """

    def __init__(self, rate: DrafterRate, config: RatesConfig) -> None:
        self._rate = rate
        self._config = config
        self._has_begun = False
        self._seen = Tally()

    def add(self, delta: Ledger) -> None:
        """This has happened in the session."""
        if not self._has_begun:
            self._has_begun = delta.committed_tokens > 0
            return
        windows = delta.committed_tokens / self._config.window_tokens
        self._seen = self._seen.plus(Tally(windows, delta.accepted_bytes, delta.elapsed_ms / 1e3))
        if self._seen.windows >= 1.0:
            self.end()

    def fail(self) -> None:
        """The drafter has failed the session."""
        self._seen = self._seen.plus(Tally(1.0, 0.0, self._config.failure_ms / 1e3))

    def end(self) -> None:
        """Record what has been measured."""
        self._rate.record(self._seen)
        self._seen = Tally()
