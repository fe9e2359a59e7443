"""Admission of sessions, and the reports to those who watch."""

from __future__ import annotations

import pytest

from draftmesh.core.endpoint import CostPoint
from draftmesh.core.errors import ExhaustedError, UnavailableError
from draftmesh.engine.stats import EngineStats
from draftmesh.verifier.load import LoadBoard

NEVER_S = 1000.0


def engine_stats() -> EngineStats:
    """An engine's stats with a different number in each field."""
    return EngineStats(
        sequences=1,
        max_sequences=2,
        waiting=3,
        free_blocks=4,
        total_blocks=5,
        batch_sequences=6.5,
        batch_rows=7.5,
        token_budget=8,
        costs=(CostPoint(1, 9.0),),
        steps=10,
        rows=11,
        sequence_steps=14,
        preemptions=12,
        prefix_hit_tokens=13,
    )


def board(max_sessions: int = 2) -> LoadBoard:
    """A board of a fresh verifier."""
    return LoadBoard(engine_stats, max_sessions=max_sessions, retry_after_ms=70)


def test_report_shows_the_engine() -> None:
    """Every engine number of a load report comes from the engine's stats."""
    report = board().report()
    assert (report.waiting_sequences, report.kv_blocks_free, report.kv_blocks_total) == (3, 4, 5)
    assert (report.batch_sequences, report.token_budget, report.costs) == (6.5, 8, (CostPoint(1, 9.0),))


def test_session_too_many_is_refused_with_a_hint() -> None:
    """When every place is taken, the next session is told when to come back."""
    full = board(max_sessions=1)
    with full.admit(), pytest.raises(ExhaustedError) as caught, full.admit():
        pass
    assert caught.value.retry_after_ms == 70


def test_place_is_free_again_after_a_failure() -> None:
    """A session that ends with an error gives its place back."""
    full = board(max_sessions=1)
    with pytest.raises(ZeroDivisionError), full.admit():
        _ = 1 / 0
    assert full.active_sessions == 0


def test_draining_verifier_takes_no_session() -> None:
    """Once draining, a verifier refuses new sessions and says so in its reports."""
    draining = board()
    draining.drain()
    with pytest.raises(UnavailableError), draining.admit():
        pass
    assert draining.report().draining


async def test_watch_tells_every_change() -> None:
    """A watcher hears the load at once, and again when a session comes, goes, or the verifier drains."""
    watched = board()
    reports = watched.watch(NEVER_S)
    seen = [(await anext(reports)).active_sessions]
    with watched.admit():
        seen.append((await anext(reports)).active_sessions)
    seen.append((await anext(reports)).active_sessions)
    watched.drain()
    assert (await anext(reports)).draining
    assert seen == [0, 1, 0]
    await reports.aclose()


async def test_watch_repeats_without_a_change() -> None:
    """A report comes at least every interval."""
    reports = board().watch(0.001)
    assert [(await anext(reports)).active_sessions for _ in range(3)] == [0, 0, 0]
    await reports.aclose()
