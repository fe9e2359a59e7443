"""How long a verifier may say nothing about a round before it counts as failed."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.errors import DeadlineError
from draftmesh.core.protocols import Clock


@dataclass(frozen=True, slots=True)
class SilenceConfig:
    """Bounds of a verifier's silence while it has a round. Generous: a busy verifier is slow, and not dead."""

    steps: float = 200.0
    """Decoding steps of the target, as measured in this session."""

    floor_ms: float = 10_000.0
    """Never less than this."""

    first_floor_ms: float = 60_000.0
    """Never less than this before the first answer on a stream, which waits for the prompt to be computed."""

    prompt_token_ms: float = 20.0
    """More for each token that is to be computed before the first answer."""


class Silence:
    """Watches one stream to a verifier."""

    def __init__(self, config: SilenceConfig, clock: Clock, *, prompt_tokens: int) -> None:
        """Of a stream that was opened with so many tokens."""
        self._config = config
        self._clock = clock
        self._prompt_tokens = prompt_tokens
        self._broken_s = clock.monotonic()
        self._has_answered = False

    def asked(self) -> None:
        """It has got something to do, or an answer it was waiting for."""
        self._broken_s = self._clock.monotonic()

    def heard(self) -> None:
        """It has said something."""
        self._broken_s = self._clock.monotonic()
        self._has_answered = True

    def remaining_s(self, step_ms: float) -> float:
        """Seconds until it counts as failed; below 0: it does."""
        config = self._config
        limit_ms = max(config.steps * step_ms, config.floor_ms)
        if not self._has_answered:
            limit_ms = max(limit_ms, config.first_floor_ms) + config.prompt_token_ms * self._prompt_tokens
        return self._broken_s + limit_ms / 1e3 - self._clock.monotonic()

    def check(self, step_ms: float) -> None:
        """Raise DeadlineError if it counts as failed."""
        if self.remaining_s(step_ms) <= 0:
            raise DeadlineError(f"the verifier has said nothing for {self._clock.monotonic() - self._broken_s:.0f} s")
