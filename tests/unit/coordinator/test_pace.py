"""The waiting policy's numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from draftmesh.coordinator.loop.pace import Pace, PaceConfig
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, RoundTimings, Verdict

CONFIG = PaceConfig(initial_step_ms=100.0, max_wait_ms=250.0, smoothing=0.5)


def verdict(tokens: int, compute_ms: float, accepted: int = 0) -> Verdict:
    """A verdict that took so long."""
    timings = RoundTimings(compute_ms=compute_ms)
    return Verdict(1, RoundStatus.DONE, TokenPrefix(), accepted, (1,) * tokens, timings=timings)


@pytest.fixture
def pace() -> Pace:
    """A policy that has seen nothing yet."""
    return Pace(CONFIG)


def test_a_draft_is_waited_for_as_long_as_a_step_takes(pace: Pace) -> None:
    """The deadline counts from the last commit."""
    pace.settled(7.0)
    assert pace.deadline_s == pytest.approx(7.1)


def test_a_free_run_measures_the_step(pace: Pace) -> None:
    """Time per token of a free run is the duration of a step, as a moving average."""
    pace.observe(verdict(tokens=5, compute_ms=250.0), judged=False)
    assert pace.step_ms == pytest.approx(75.0)


def test_a_free_run_that_looks_up_says_how_many_steps_it_took(pace: Pace) -> None:
    """It says more tokens in them."""
    pace.observe(replace(verdict(tokens=5, compute_ms=150.0), steps=3), judged=False)
    assert pace.step_ms == pytest.approx(75.0)


@pytest.mark.parametrize(("wait_ms", "spare", "run_on"), [(29, 0, 0), (31, 1, 0), (61, 1, 1), (131, 2, 1), (161, 2, 2)])
def test_a_target_that_is_far_goes_on_only_if_there_is_more_time(
    pace: Pace, wait_ms: float, spare: int, run_on: int
) -> None:
    """It cannot be told in time that a draft is on its way."""
    assert (pace.spare_steps(wait_ms), pace.run_on_steps(wait_ms)) == (spare, run_on)


def test_a_judged_draft_bounds_the_step_from_above(pace: Pace) -> None:
    """A step with more rows takes no less than one with a single row."""
    pace.observe(verdict(tokens=3, compute_ms=80.0), judged=True)
    assert pace.step_ms == 80.0
    pace.observe(verdict(tokens=3, compute_ms=500.0), judged=True)
    assert pace.step_ms == 80.0


def test_no_wait_exceeds_the_limit() -> None:
    """A very slow target does not make a session wait very long."""
    pace = Pace(PaceConfig(initial_step_ms=9000.0, max_wait_ms=250.0))
    assert pace.deadline_s == pytest.approx(0.25)


def test_fruitless_waits_end_waiting(pace: Pace) -> None:
    """All fruitless waits in a row add up to two steps at most."""
    waited_ms = 0.0
    for _ in range(50):
        waited_ms += pace.deadline_s * 1e3
        pace.starved()
    assert (waited_ms < 200.0, pace.deadline_s) == (True, 0.0)


def test_a_draft_in_time_restores_patience(pace: Pace) -> None:
    """A drafter that has become fast again is waited for again; one that comes late is not."""
    for _ in range(10):
        pace.starved()
    pace.drafted(0.2)
    assert pace.deadline_s == 0.0
    for _ in range(5):
        pace.drafted(0.05)
    assert pace.deadline_s == pytest.approx(0.1)


def test_wrong_drafts_are_hardly_waited_for(pace: Pace) -> None:
    """A draft with g accepted tokens saves g steps: nobody waits longer than that."""
    for _ in range(4):
        pace.observe(verdict(tokens=1, compute_ms=100.0), judged=True)
    assert pace.deadline_s == pytest.approx(0.1 / 16)
    for _ in range(3):
        pace.observe(verdict(tokens=5, compute_ms=100.0, accepted=4), judged=True)
    assert pace.deadline_s == pytest.approx(0.1)


def test_only_drafts_that_were_not_there_tell_how_long_one_is_waited_for() -> None:
    """A quarter of the newest wait counts."""
    pace = Pace(PaceConfig(smoothing=0.25))
    pace.settled(1.0)
    pace.drafted(1.0005)
    assert pace.draft_wait_ms == 0.0
    pace.settled(2.0)
    pace.drafted(2.02)
    assert pace.draft_wait_ms == pytest.approx(5.0)
