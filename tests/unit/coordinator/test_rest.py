"""When a session stops to draft, and for how long."""

from __future__ import annotations

from random import Random

import pytest

from draftmesh.coordinator.loop.rest import Rest, RestConfig, Spent
from draftmesh.core.endpoint import CostPoint
from draftmesh.core.errors import ConfigError
from draftmesh.decoding.draft_length import CostCurve

CONFIG = RestConfig()
STEP_MS = 100.0
COSTS = CostCurve([CostPoint(1, STEP_MS), CostPoint(8, 2 * STEP_MS)])
ROUND = 8
"""Rows of a round with a draft."""


def judged(steps: float, tokens: int) -> Spent:
    """A round with a draft that took as long as so many steps of the target alone."""
    return Spent(steps * STEP_MS, tokens, 1)


def alone(tokens: int = 1, step_ms: float = STEP_MS) -> Spent:
    """Tokens that the target has said alone."""
    return Spent(tokens * step_ms, tokens, 1)


def rest_through(rest: Rest, step_ms: float = STEP_MS) -> int:
    """Have a rest; its length in tokens."""
    tokens = 0
    while rest.left_tokens:
        rest.observe(alone(step_ms=step_ms), COSTS)
        tokens += 1
    return tokens


def test_a_session_that_gains_never_rests() -> None:
    """Rounds that win now and lose then add up to a gain."""
    rest = Rest(CONFIG)
    for _ in range(100):
        rest.observe(judged(1.5, 1), COSTS)
        rest.observe(judged(1.5, 4), COSTS)
        assert rest.left_tokens == 0


def test_a_session_that_loses_rests_after_a_bounded_loss() -> None:
    """What is lost is the time that went by in the target's steps, less the tokens that came of it."""
    rest = Rest(CONFIG)
    lost = 0.0
    while not rest.left_tokens:
        rest.observe(judged(1.6, 1), COSTS)
        lost += 0.6
    assert CONFIG.tolerance_steps - 0.6 <= lost <= CONFIG.tolerance_steps + 0.6
    assert rest.left_tokens == CONFIG.first_tokens


def test_rests_without_a_gain_between_them_get_longer() -> None:
    """Up to a limit, so that a drafter that has become good is found out after all."""
    rest, lengths, losses = Rest(RestConfig(longest_tokens=100)), [], []
    for _ in range(5):
        lost = 0.0
        while not rest.left_tokens:
            rest.observe(judged(1.5, 1), COSTS)
            lost += 0.5
        losses.append(lost)
        lengths.append(rest_through(rest))
    assert lengths == [16, 32, 64, 100, 100]
    assert max(losses[1:]) <= CONFIG.trial_steps + 0.5


def test_a_gain_makes_the_next_rest_short_again() -> None:
    """What was lost before a drafter became good is forgotten."""
    rest = Rest(CONFIG)
    for _ in range(2):
        while not rest.left_tokens:
            rest.observe(judged(1.5, 1), COSTS)
        rest_through(rest)
    for _ in range(5):
        rest.observe(judged(1.5, 5), COSTS)
    while not rest.left_tokens:
        rest.observe(judged(1.5, 1), COSTS)
    assert rest.left_tokens == CONFIG.first_tokens


def test_a_rest_shows_what_a_step_takes_without_drafting() -> None:
    """A drafter on the verifier's own processor slows steps down that have no draft in them, which no curve shows."""
    rest = Rest(CONFIG)
    while not rest.left_tokens:  # the curve knows no better, but drafting does not gain anything either
        rest.observe(alone(), COSTS)
    rest_through(rest, step_ms=60.0)
    lost = 0
    while not rest.left_tokens:
        rest.observe(alone(), COSTS)
        lost += 1
    assert lost <= 3


def test_company_is_not_drafting_s_fault() -> None:
    """Steps that take longer because more sessions share them are no loss, even if rests have had no company."""
    rest = Rest(CONFIG)
    while not rest.left_tokens:
        rest.observe(judged(2.0, 1), COSTS)
    rest_through(rest)
    for _ in range(20):  # 14 rows of others: the curve says 2.86 steps without the draft, 3.86 with it
        rest.observe(Spent(3.86 * STEP_MS, 3, 14), COSTS)
    assert rest.left_tokens == 0


def test_nothing_is_counted_while_nothing_is_known() -> None:
    """Without a cost curve and before the first rest there is nothing to compare with."""
    rest = Rest(CONFIG)
    for _ in range(50):
        rest.observe(judged(9.0, 1), None)
    assert rest.left_tokens == 0


@pytest.mark.parametrize("seed", range(8))
def test_a_useless_drafter_costs_a_long_session_next_to_nothing(seed: int) -> None:
    """After the first 64 tokens the session is as fast as without drafting, up to a twentieth."""
    random, rest = Random(seed), Rest(CONFIG)
    tokens = steps = late_tokens = late_steps = 0.0
    while tokens < 320:
        a_round = judged(random.uniform(1.3, 2.3), 1 + (random.random() < 0.1))
        spent = alone() if rest.left_tokens else a_round
        rest.observe(spent, COSTS)
        late_tokens += spent.tokens * (tokens >= 64)
        late_steps += spent.elapsed_ms / STEP_MS * (tokens >= 64)
        tokens += spent.tokens
        steps += spent.elapsed_ms / STEP_MS
    assert late_tokens / late_steps > 0.95


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (RestConfig(tolerance_steps=0.0), "tolerance_steps"),
        (RestConfig(trial_steps=9.0), "trial_steps"),
        (RestConfig(first_tokens=0), "first_tokens"),
        (RestConfig(first_tokens=9999), "first_tokens"),
        (RestConfig(least_gain=-0.1), "least_gain"),
    ],
)
def test_what_makes_no_sense_is_refused(config: RestConfig, message: str) -> None:
    """By name."""
    with pytest.raises(ConfigError, match=message):
        config.validate()
