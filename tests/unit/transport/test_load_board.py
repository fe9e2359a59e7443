"""Admission of sessions, and the reports to those who watch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from draftmesh.core.endpoint import CostPoint, LoadReport
from draftmesh.core.errors import ExhaustedError, UnavailableError
from draftmesh.transport.load_board import LoadBoard

NEVER_S = 1000.0
ENGINE_LOAD = LoadReport(
    waiting_sequences=3,
    kv_blocks_free=4,
    kv_blocks_total=5,
    batch_sequences=6.5,
    token_budget=8,
    costs=(CostPoint(1, 9.0),),
)


def board(max_sessions: int = 2) -> LoadBoard:
    """A board of a fresh daemon."""
    return LoadBoard("verifier", lambda: ENGINE_LOAD, max_sessions=max_sessions, retry_after_ms=70)


def test_report_joins_the_engine_and_the_sessions() -> None:
    """The board adds sessions and draining to what the daemon says of its engine, and changes none of that."""
    full = board()
    with full.admit():
        report = full.report()
    assert report == replace(ENGINE_LOAD, active_sessions=1, max_sessions=2)


def test_refusal_names_the_daemon() -> None:
    """Who is told to go elsewhere learns what is about to stop."""
    draining = board()
    draining.drain()
    with pytest.raises(UnavailableError, match="the verifier is about to stop"), draining.admit():
        pass


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


def test_draining_daemon_takes_no_session() -> None:
    """Once draining, a daemon refuses new sessions and says so in its reports."""
    draining = board()
    draining.drain()
    with pytest.raises(UnavailableError), draining.admit():
        pass
    assert draining.report().draining


async def test_watch_tells_every_change() -> None:
    """A watcher hears the load at once, and again when a session comes, goes, or the daemon drains."""
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
