"""What a session notes, and whose books it ends up in."""

from __future__ import annotations

from typing import Any

from opentelemetry.metrics import NoOpMeter

from draftmesh.coordinator.loop.books import Books
from draftmesh.core.ledger import Ledger
from draftmesh.telemetry.metrics import CoordinatorMetrics
from tests.helpers.clocks import HandClock
from tests.helpers.peers.seats import FakeSeat


def test_what_a_turn_has_noted_is_booked_once_for_all_at_work() -> None:
    """With the losses until then and the time since the last booking; a turn without news books nothing."""
    clock = HandClock()
    books = Books(clock, CoordinatorMetrics.create(NoOpMeter("test")))
    verifier, drafter = FakeSeat[Any]("v:1", "target", None), FakeSeat[Any]("d:1", "drafter", None)

    def losses() -> Ledger:
        return Ledger(wasted_bytes=7)

    books.book(losses, verifier, drafter)
    assert (books.ledger, verifier.deltas, drafter.deltas) == (Ledger(), [], [])
    books.note(Ledger(rounds=1, drafted_tokens=3))
    books.note(Ledger(draft_wait_ms=2.0))
    assert books.ledger == Ledger()
    clock.now_s = 0.25
    books.book(losses, verifier, drafter)
    booked = Ledger(rounds=1, drafted_tokens=3, draft_wait_ms=2.0, wasted_bytes=7, elapsed_ms=250.0)
    assert (books.ledger, verifier.deltas, drafter.deltas) == (booked, [booked], [booked])
    books.note(Ledger(rounds=1))
    clock.now_s = 0.5
    books.book(Ledger, verifier, None)
    assert (books.ledger.rounds, books.ledger.elapsed_ms, drafter.deltas) == (2, 500.0, [booked])
