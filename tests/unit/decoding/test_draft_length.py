"""How many tokens to draft."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from draftmesh.core.endpoint import CostPoint
from draftmesh.decoding.draft_length import (
    CostCurve,
    RoundCosts,
    best_draft_length,
    expected_tokens,
    goodput,
    least_confidence,
    least_sufficient,
    runs_on,
    useful_length,
)

FLAT = CostCurve([CostPoint(1, 100.0)])
STEEP = CostCurve([CostPoint(1, 100.0), CostPoint(2, 200.0)])
MEASURED = CostCurve([CostPoint(1, 70.0), CostPoint(4, 100.0), CostPoint(8, 110.0)])


@pytest.mark.parametrize(
    ("rows", "ms"), [(0.5, 70.0), (1, 70.0), (2, 80.0), (4, 100.0), (6, 105.0), (8, 110.0), (15, 150.0)]
)
def test_a_curve_is_straight_between_its_points(rows: float, ms: float) -> None:
    """Beyond the last point it goes on with its mean slope, before the first it is flat."""
    assert MEASURED.ms(rows) == pytest.approx(ms)


def test_a_curve_never_falls() -> None:
    """A point below its forerunner is noise."""
    curve = CostCurve([CostPoint(2, 90.0), CostPoint(1, 100.0), CostPoint(4, 95.0)])
    assert [curve.ms(rows) for rows in (1, 2, 3, 4, 9)] == [100.0] * 5


@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.9, 1.0])
def test_a_round_commits_what_the_formula_says(acceptance: float) -> None:
    """The mean over simulated rounds is E(k)."""
    random = Random(5)

    def committed(draft_tokens: int) -> int:
        accepted = 0
        while accepted < draft_tokens and random.random() < acceptance:
            accepted += 1
        return accepted + 1

    mean = sum(committed(6) for _ in range(40_000)) / 40_000
    assert expected_tokens(6, acceptance) == pytest.approx(mean, rel=0.02)


def test_where_rows_cost_nothing_a_draft_is_as_long_as_may_be() -> None:
    """And as short as may be where every row costs a step."""
    assert best_draft_length(8, 0.5, RoundCosts(FLAT)) == 8
    assert best_draft_length(8, 0.5, RoundCosts(STEEP)) == 1
    assert best_draft_length(0, 0.5, RoundCosts(FLAT)) == 0


def test_the_best_length_is_the_best() -> None:
    """No other length has more goodput."""
    costs = RoundCosts(MEASURED, draft_token_ms=2.0)
    for acceptance in (0.1, 0.5, 0.8, 0.95):
        best = best_draft_length(12, acceptance, costs)
        assert goodput(best, acceptance, costs) == max(goodput(k, acceptance, costs) for k in range(1, 13))


def test_better_drafts_are_longer_and_dearer_ones_shorter() -> None:
    """The length grows with acceptance, and shrinks with the price of a draft token and with company."""
    costs = RoundCosts(MEASURED, draft_token_ms=2.0)
    lengths = [best_draft_length(16, acceptance, costs) for acceptance in (0.1, 0.4, 0.7, 0.9)]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]
    for dearer in (replace(costs, draft_token_ms=20.0), replace(costs, sessions=8)):
        assert best_draft_length(16, 0.7, dearer) < best_draft_length(16, 0.7, costs)


@pytest.mark.parametrize(("draft_token_ms", "late_steps"), [(0.0, 1), (20.0, 1), (60.0, 3), (110.0, 5)])
def test_in_company_drafts_are_waited_for_or_join_when_they_have_come(draft_token_ms: float, late_steps: int) -> None:
    """Whichever is better; the mean over simulated cycles of tokens, rows and time is what the formula says."""
    random, draft_tokens, acceptance, sessions = Random(3), 4, 0.7, 5
    tokens = steps = rows = 0.0
    for _ in range(100_000):
        right = 0
        while right < draft_tokens and random.random() < acceptance:
            right += 1
        is_of_use = right >= late_steps and draft_tokens > late_steps
        judged = draft_tokens - late_steps if is_of_use else 0
        tokens += late_steps + 1 + (right - late_steps if is_of_use else 0)
        rows += late_steps + 1 + judged
        steps += late_steps + 1
    costs = RoundCosts(MEASURED, sessions, draft_token_ms)
    joining = tokens / (steps * MEASURED.ms(sessions * rows / steps))
    waiting = expected_tokens(draft_tokens, acceptance) / (
        MEASURED.ms(sessions * (1 + draft_tokens)) + draft_tokens * draft_token_ms
    )
    assert runs_on(draft_tokens, acceptance, costs) is (joining > waiting)
    assert goodput(draft_tokens, acceptance, costs) == pytest.approx(max(joining, waiting), rel=0.01)


def test_in_company_drafts_that_are_far_are_not_waited_for() -> None:
    """Whether the drafter is slow or the way to it long."""
    near = RoundCosts(MEASURED, 4, draft_token_ms=1.0)
    assert not runs_on(4, 0.7, near)
    assert runs_on(4, 0.7, replace(near, answer_ms=200.0))
    assert runs_on(4, 0.7, replace(near, draft_token_ms=50.0))
    assert not runs_on(4, 0.7, replace(near, sessions=1, answer_ms=200.0))


@pytest.mark.parametrize("acceptance", [0.2, 0.5, 0.9])
def test_a_useful_token_is_reached_often_enough(acceptance: float) -> None:
    """The last useful one is wanted with the least probability that counts, and the next one is not."""
    length = useful_length(acceptance, 0.1)
    assert acceptance ** (length - 1) >= 0.1 > acceptance**length


@pytest.mark.parametrize(("acceptance", "length"), [(0.0, 1), (1.0, 2302)])
def test_the_extremes_have_a_useful_length_too(acceptance: float, length: int) -> None:
    """The first token is always wanted."""
    assert useful_length(acceptance, 0.1) == length


def test_a_token_more_is_worth_what_is_committed_meanwhile() -> None:
    """At the least confidence, what one more token commits in the mean is what its row and its drawing cost."""
    costs = RoundCosts(MEASURED, draft_token_ms=2.0)
    least = least_confidence(3, 7, 0.7, costs)
    row_ms = (110.0 - 70.0) / 7
    assert least * 0.7 == pytest.approx(goodput(3, 0.7, costs) * (row_ms + 2.0))


@pytest.mark.parametrize("acceptance", [0.2, 0.6, 0.95])
def test_a_token_more_has_to_be_surer_where_it_costs_more(acceptance: float) -> None:
    """It never has to be certain, and where it costs nothing it is always drawn."""
    least = [
        least_confidence(2, 4, acceptance, RoundCosts(step, draft_token_ms=token_ms))
        for step, token_ms in ((FLAT, 0.0), (FLAT, 2.0), (MEASURED, 2.0), (MEASURED, 20.0), (STEEP, 500.0))
    ]
    assert least == sorted(least)
    assert (least[0], least[-1]) == (0.0, 0.95)


def test_in_company_all_wait_for_a_row_and_for_its_drawing_unless_the_target_runs_on() -> None:
    """A row costs each session that shares the step what it costs one alone."""
    straight = CostCurve([CostPoint(0, 100.0), CostPoint(100, 200.0)])
    alone, four = (RoundCosts(straight, sessions) for sessions in (1, 4))
    for costs in (alone, four):
        expected = costs.sessions * goodput(3, 0.7, costs) / 0.7
        assert least_confidence(3, 8, 0.7, costs) == pytest.approx(expected)
    far = replace(four, answer_ms=1000.0)
    for costs, is_waited_for in ((four, True), (far, False)):
        slow = replace(costs, draft_token_ms=1.0)
        assert (least_confidence(3, 8, 0.7, slow) > least_confidence(3, 8, 0.7, costs)) is is_waited_for


def test_a_short_draft_now_or_a_long_one_later() -> None:
    """Without a wait only as many tokens will do as the longer draft has; the longer the wait, the fewer."""
    step = CostCurve([CostPoint(1, 50.0), CostPoint(9, 80.0)])
    assert least_sufficient(5, 0.7, step, 0.0) == 5
    fewest = [least_sufficient(5, 0.7, step, wait_ms) for wait_ms in (0.0, 5.0, 20.0, 50.0)]
    assert fewest == sorted(fewest, reverse=True)
    assert fewest[-1] < 4
    best = fewest[2]
    now, later = (
        expected_tokens(tokens, 0.7) / (step.ms(1 + tokens) + wait_ms) for tokens, wait_ms in ((best, 0.0), (5, 20.0))
    )
    assert now >= later > expected_tokens(best - 1, 0.7) / step.ms(best)
