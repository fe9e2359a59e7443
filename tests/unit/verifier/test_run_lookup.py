"""When a target that decodes alone judges what it may say by its own text."""

from __future__ import annotations

from functools import partial

import pytest

from draftmesh.engine.stats import StepReport
from draftmesh.verifier.run_lookup import RunLookup, choose_length
from tests.helpers.engines import fake_engine, open_sequence

FLAT, STEEP = {1: 60.0, 8: 66.0}, {1: 60.0, 8: 480.0}


def asked(acceptance: float, limit: int) -> int:
    """As much as there is room for."""
    assert 0.0 < acceptance < 1.0
    return limit


def test_what_followed_before_is_judged() -> None:
    """As much of it as there is room for, and nothing where nothing is known or no room is."""
    lookup = RunLookup(asked, 3)
    assert lookup.draft([1, 2, 3, 4, 1, 2], 8) == (3, 4, 1)
    assert lookup.draft([1, 2, 3, 4, 1, 2, 3], 2) == (4, 1)
    assert lookup.draft([1, 2, 3, 4, 1, 2, 3], 0) == ()
    assert lookup.draft([1, 2, 3, 4, 1, 2, 3, 9], 8) == ()


def test_what_stands_is_learnt_whether_it_was_judged_or_not() -> None:
    """So a text that begins to repeat itself is noticed, and one that ceases to."""
    lookup = RunLookup(lambda _acceptance, _limit: 0, 4)
    text = [1, 2, 3, 4]
    begun = lookup.acceptance
    for _ in range(5):
        text += [1, 2, 3, 4]
        assert lookup.draft(text, 8) == ()
    risen = lookup.acceptance
    for token in range(30):
        text += [1, 100 + token]
        lookup.draft(text[:-1], 8)
    assert lookup.acceptance < begun < risen


@pytest.mark.parametrize(
    ("costs", "sessions", "acceptance", "length"),
    [
        (FLAT, 1, 0.9, 5),
        (FLAT, 1, 0.01, 0),
        (STEEP, 1, 0.9, 0),
        (STEEP, 1, 0.999, 0),
        (FLAT, 4, 0.9, 5),
        ({}, 1, 0.1, 5),
    ],
)
def test_as_much_is_judged_as_pays(costs: dict[int, float], sessions: int, acceptance: float, length: int) -> None:
    """By what stands of it, what rows cost, and how many share a step; all of it where nothing is known of costs."""
    engine, _ = fake_engine()
    engine.restart_meter(StepReport(rows, 1, ms, 0.0) for rows, ms in costs.items())
    for _ in range(sessions):
        engine.submit(open_sequence(engine, [1, 2])[0])
    assert partial(choose_length, engine)(acceptance, 5) == length
