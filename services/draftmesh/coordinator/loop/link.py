"""The way to a verifier and back."""

from __future__ import annotations

from draftmesh.core.moving_average import MovingAverage
from draftmesh.core.protocols import Clock
from draftmesh.core.verify import Verdict


class Link:
    """How long a round and its verdict are under way, beside what the verifier needs."""

    def __init__(self, clock: Clock, mean_ms: MovingAverage) -> None:
        """``mean_ms``: what has been measured there before; it goes on."""
        self._clock = clock
        self._mean_ms = mean_ms
        self._round = 0  # that is being measured; 0: none
        self._asked_s = 0.0

    @property
    def ms(self) -> float:
        """There and back; 0 until it is measured."""
        return self._mean_ms.value

    def asked(self, number: int) -> None:
        """A round goes out."""
        if not self._round:
            self._round, self._asked_s = number, self._clock.monotonic()

    def heard(self, verdict: Verdict) -> None:
        """A verdict has come: the first on the round that is being measured tells."""
        if verdict.round < self._round or not self._round:
            return
        if verdict.round > self._round and not verdict.tokens:
            return  # a refusal overtakes the verdict on a draft that runs on
        if verdict.round == self._round and verdict.tokens:
            times = verdict.timings
            elapsed_ms = (self._clock.monotonic() - self._asked_s) * 1e3
            self._mean_ms.add(max(0.0, elapsed_ms - times.queue_ms - times.compute_ms))
        self._round = 0
