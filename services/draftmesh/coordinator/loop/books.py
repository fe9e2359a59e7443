"""Keeps a session's ledger while it runs, and passes every addition on to those whose books it belongs in too.

Additions are noted when they come up, and booked once a turn of the session's loop, when the next round has gone out:
the verifier waits for that.
"""

from __future__ import annotations

from collections.abc import Callable

from draftmesh.coordinator.loop.rounds import Answer
from draftmesh.coordinator.loop.speed import Speed
from draftmesh.coordinator.pools.seats import Seat
from draftmesh.core.ledger import Decoded, Ledger, add
from draftmesh.core.protocols import Clock, Drafter, Verifier
from draftmesh.decoding.draft_length import CostCurve
from draftmesh.telemetry.metrics import CoordinatorMetrics, position_attribute


class Books:
    """The ledger of one session, from its start."""

    def __init__(self, clock: Clock, metrics: CoordinatorMetrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._ledger = Ledger()
        self._noted: Ledger | None = None
        self._speed = Speed()
        self._counted_to_s = clock.monotonic()
        self._turned_s = self._lapped_s = self._counted_to_s

    @property
    def ledger(self) -> Ledger:
        """Everything that has been booked."""
        return self._ledger

    def turn(self) -> float:
        """Milliseconds since the last call: the verifier was idle or busy for so long, and is the other now."""
        now_s = self._clock.monotonic()
        elapsed_ms, self._turned_s = (now_s - self._turned_s) * 1e3, now_s
        return elapsed_ms

    @property
    def decoded(self) -> Decoded:
        """How fast the session was."""
        return self._speed.decoded

    def lap(self, answer: Answer, costs: CostCurve | None) -> float:
        """A verdict has come, when the target's steps took what ``costs`` says; milliseconds since the one before."""
        now_s = self._clock.monotonic()
        elapsed_ms, self._lapped_s = (now_s - self._lapped_s) * 1e3, now_s
        self._speed.observe(answer, elapsed_ms, costs)
        return elapsed_ms

    def note(self, delta: Ledger) -> None:
        """Something to be booked."""
        self._noted = delta if self._noted is None else add(self._noted, delta)

    def book(self, losses: Callable[[], Ledger], verifier: Seat[Verifier], drafter: Seat[Drafter] | None) -> None:
        """Add what has been noted, and the losses until now, to the books of the session and of those at work for it.

        Where nothing has been noted, nothing happens.
        """
        if self._noted is None:
            return
        now_s = self._clock.monotonic()
        elapsed = Ledger(elapsed_ms=(now_s - self._counted_to_s) * 1e3)
        delta, self._noted, self._counted_to_s = add(add(self._noted, losses()), elapsed), None, now_s
        self._ledger = add(self._ledger, delta)
        verifier.record(delta)
        if drafter is not None:
            drafter.record(delta)
        count(self._metrics, delta)


def count(metrics: CoordinatorMetrics, delta: Ledger) -> None:
    """Add a delta to the shard's counters."""
    counters = (
        (metrics.rounds, delta.rounds),
        (metrics.stale_rounds, delta.stale_rounds),
        (metrics.drafted_tokens, delta.drafted_tokens),
        (metrics.accepted_tokens, delta.accepted_tokens),
        (metrics.committed_tokens, delta.committed_tokens),
        (metrics.free_run_tokens, delta.free_run_tokens),
        (metrics.wasted_bytes, delta.wasted_bytes),
        (metrics.drafter_failures, delta.drafter_failures),
    )
    for counter, amount in counters:
        if amount:
            counter.add(amount)
    for position, accepted in enumerate(delta.accepted_per_position):
        metrics.accepted_tokens_per_position.add(accepted, position_attribute(position))
    if delta.draft_wait_ms:
        metrics.draft_wait.record(delta.draft_wait_ms / 1e3)
    if delta.verify_wait_ms:
        metrics.verify_wait.record(delta.verify_wait_ms / 1e3)
