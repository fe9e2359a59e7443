"""Who gets the sessions, in pools of drafters whose worth is known: seeded simulations of the whole choice."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from draftmesh.coordinator.routing.rates import RatesConfig
from tests.helpers.simulated_drafters import SimulatedPool, regret

SEEDS = range(12)


def mean(values: list[float]) -> float:
    """Their mean."""
    return sum(values) / len(values)


@pytest.mark.parametrize(
    ("worth", "early", "late"),
    [
        ({"a": 60.0, "b": 20.0}, 0.06, 0.02),
        ({"a": 60.0, "b": 50.0}, 0.06, 0.04),
        ({"a": 60.0, "b": 40.0, "c": 30.0, "d": 10.0, "e": 2.0}, 0.16, 0.06),
    ],
)
def test_little_is_lost_against_an_oracle(worth: Mapping[str, float], early: float, late: float) -> None:
    """Of 50 sessions the share ``early``, and the share ``late`` of the 150 that follow."""
    lost = []
    for seed in SEEDS:
        pool = SimulatedPool(seed)
        lost.append((regret(pool.play(worth, 50), worth), regret(pool.play(worth, 150), worth)))
    assert mean([first for first, _ in lost]) < early
    assert mean([second for _, second in lost]) < late


def test_a_new_good_drafter_is_found_within_ten_sessions() -> None:
    """And it has nearly all of them from then on."""
    for seed in SEEDS:
        pool = SimulatedPool(seed)
        pool.play({"known": 30.0}, 100)
        worth = {"known": 30.0, "new": 60.0}
        assert "new" in pool.play(worth, 10)
        pool.play(worth, 20)
        assert pool.play(worth, 50).count("new") >= 45


def test_a_new_bad_drafter_gets_few_sessions() -> None:
    """It is taken for as good as the best until a few windows have told."""
    shares = []
    for seed in SEEDS:
        pool = SimulatedPool(seed)
        pool.play({"known": 60.0}, 100)
        shares.append(pool.play({"known": 60.0, "new": 10.0}, 100).count("new") / 100)
    assert mean(shares) < 0.06
    assert max(shares) <= 0.1


def test_a_drafter_that_degrades_is_left() -> None:
    """Though it was the best for long: within ten sessions it is no longer the first choice."""
    for seed in SEEDS:
        pool = SimulatedPool(seed)
        before = {"a": 60.0, "b": 40.0}
        pool.play(before, 100)
        after = {"a": 10.0, "b": 40.0}
        pool.play(after, 10)
        assert pool.play(after, 50).count("a") <= 5


def test_a_drafter_that_recovers_is_found_again() -> None:
    """What was seen of it fades with time, so it is tried again: here within an hour, and then kept."""
    for seed in SEEDS:
        pool = SimulatedPool(seed)
        pool.play({"a": 40.0, "b": 10.0}, 100)
        started_s = pool.clock.now_s
        worth = {"a": 40.0, "b": 80.0}
        while pool.play(worth, 10).count("b") < 8:
            assert pool.clock.now_s - started_s < 3600
        assert pool.play(worth, 50).count("b") >= 40


def test_without_forgetting_a_drafter_that_degrades_is_kept_for_longer() -> None:
    """So it is the forgetting that notices: with it, of the next forty sessions fewer go to the one that was best."""
    counts = {1.0: 0, 0.97: 0}
    for forgetting in counts:
        for seed in SEEDS:
            pool = SimulatedPool(seed, RatesConfig(forgetting=forgetting))
            pool.play({"a": 60.0, "b": 40.0}, 100)
            counts[forgetting] += pool.play({"a": 10.0, "b": 40.0}, 40).count("a")
    assert counts[0.97] < 0.7 * counts[1.0]
