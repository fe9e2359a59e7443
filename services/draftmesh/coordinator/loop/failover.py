"""What a session does when its verifier fails: try others, with pauses, for a bounded time without progress."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random

from draftmesh.coordinator.backoff import Backoff, BackoffConfig
from draftmesh.coordinator.loop.silence import SilenceConfig
from draftmesh.coordinator.pools.seats import Seat, SeatSource
from draftmesh.core.errors import (
    CancelledByPeerError,
    DeadlineError,
    DraftmeshError,
    ExhaustedError,
    FencedError,
    InternalError,
    StateError,
    UnavailableError,
)
from draftmesh.core.protocols import Clock, Verifier

_RETRYABLE = (UnavailableError, DeadlineError, ExhaustedError, CancelledByPeerError, StateError, InternalError)


def is_retryable(error: DraftmeshError) -> bool:
    """Whether the same thing may succeed later, or elsewhere."""
    return isinstance(error, _RETRYABLE) and not isinstance(error, FencedError)


@dataclass(frozen=True, slots=True)
class FailoverConfig:
    """Numbers of failover."""

    patience_ms: float = 10_000.0
    """How long a session goes on without a verifier, or without progress after a failure, before it fails."""

    backoff: BackoffConfig = field(default_factory=BackoffConfig)
    """Between two attempts."""

    silence: SilenceConfig = field(default_factory=SilenceConfig)
    """When a verifier whose stream is open counts as failed."""


class Failover:
    """Finds verifiers for one session, and remembers which have just failed it."""

    def __init__(self, source: SeatSource[Verifier], config: FailoverConfig, *, clock: Clock, random: Random) -> None:
        self._source = source
        self._config = config
        self._clock = clock
        self._backoff = Backoff(config.backoff, random)
        self._failed: frozenset[str] = frozenset()
        self._give_up_s: float | None = None
        self._error: DraftmeshError | None = None

    def progressed(self) -> None:
        """The target has said something: earlier failures are forgotten."""
        self._give_up_s = self._error = None
        self._failed = frozenset()
        self._backoff.reset()

    async def seat(self) -> Seat[Verifier]:
        """The next verifier to try.

        Raises:
            DraftmeshError: the last verifier's error, or UnavailableError: none could be had in time.
        """
        self._start_clock()
        try:
            async with asyncio.timeout(self._remaining_s()):
                seat = await self._source.acquire(failed=self._failed)
        except TimeoutError:
            raise self._error or UnavailableError("no verifier of this target is ready") from None
        if self._error is None:  # nothing has failed: a long prompt may take its time
            self._give_up_s = None
        return seat

    async def failed(self, seat: Seat[Verifier], error: DraftmeshError) -> None:
        """Pause before the next attempt.

        Raises:
            DraftmeshError: ``error`` itself, if another attempt makes no sense or the patience is over.
        """
        self._start_clock()
        pause_s = self._backoff.next_s()
        if not is_retryable(error) or pause_s > self._remaining_s():
            raise error
        self._error = error
        self._failed |= {seat.address}
        await asyncio.sleep(pause_s)

    def _start_clock(self) -> None:
        if self._give_up_s is None:
            self._give_up_s = self._clock.monotonic() + self._config.patience_ms / 1e3

    def _remaining_s(self) -> float:
        assert self._give_up_s is not None, "the clock runs since the first attempt"
        return self._give_up_s - self._clock.monotonic()
