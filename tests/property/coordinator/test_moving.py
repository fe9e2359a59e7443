"""The rule by which sessions leave their drafters: whatever is believed, they never go to and fro."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from draftmesh.coordinator.learning.posterior import Estimate
from draftmesh.coordinator.routing.candidate import Candidate
from draftmesh.coordinator.routing.moving import Arrivals, Moves, MovingConfig
from tests.helpers.clocks import HandClock
from tests.helpers.simulated_drafters import candidate

NAMES = ("a", "b", "c", "d")
Beliefs = dict[str, Estimate | None]

numbers = st.floats(0.0, 1e4, allow_nan=False, allow_infinity=False)
estimates = st.one_of(st.none(), st.builds(Estimate, numbers, numbers), st.builds(Estimate, numbers))
beliefs = st.fixed_dictionaries(dict.fromkeys(NAMES, estimates))
configs = st.builds(
    MovingConfig,
    margin=st.floats(0.0, 2.0),
    doubts=st.floats(0.0, 4.0),
    pause_ms=st.sampled_from([0.0, 2000.0]),
    max_moves=st.integers(0, 5),
)


def candidates(known: Beliefs) -> list[Candidate]:
    """All drafters, as they are believed to be."""
    return [candidate(name, rate=rate) for name, rate in known.items()]


def visits(moves: Moves, course: list[Beliefs], clock: HandClock) -> Iterator[str]:
    """Where a session that begins at the first drafter is, after each change of what is believed."""
    here = NAMES[0]
    yield here
    for known in course:
        clock.now_s += 60.0
        chosen = moves.leave(candidate(here, rate=known[here]), candidates(known))
        here = chosen.address if chosen is not None else here
        yield here


def session(config: MovingConfig) -> tuple[Moves, HandClock]:
    """That is alone in its shard."""
    clock = HandClock()
    return Moves(config, Arrivals(config, clock)), clock


@given(configs, st.lists(beliefs, max_size=30))
def test_a_session_never_goes_back_and_moves_a_few_times_at_most(config: MovingConfig, course: list[Beliefs]) -> None:
    """However beliefs change from one look to the next."""
    moves, clock = session(config)
    places = list(visits(moves, course, clock))
    stays = [place for place, following in pairwise([*places, ""]) if place != following]
    assert len(stays) == len(set(stays))
    assert len(stays) - 1 <= config.max_moves


@given(configs, beliefs)
def test_while_beliefs_stay_a_session_comes_to_rest_and_each_move_was_worth_it(
    config: MovingConfig, known: Beliefs
) -> None:
    """Every next drafter is better than the one before by the margin, and where it rests nobody clearly is."""
    moves, clock = session(config)
    places = list(visits(moves, [known] * 10, clock))
    for before, after in pairwise(places):
        first, second = known[before], known[after]
        if before != after:
            assert first is not None
            assert second is not None
            assert second.mean > (1.0 + config.margin) * first.mean
    resting = known[places[-1]]
    if len(moves.left) < config.max_moves and resting is not None:
        others = [rate for name, rate in known.items() if rate is not None and name not in moves.left]
        assert not any(rate.exceeds(resting, margin=config.margin, doubts=config.doubts) for rate in others)


@given(estimates, estimates, st.floats(0.0, 2.0), st.floats(0.0, 4.0))
def test_of_two_drafters_at_most_one_is_worth_leaving_the_other_for(
    first: Estimate | None, second: Estimate | None, margin: float, doubts: float
) -> None:
    """So for a session to come back, what is believed would have to change by two margins."""
    if first is not None and second is not None:
        both = (
            first.exceeds(second, margin=margin, doubts=doubts),
            second.exceeds(first, margin=margin, doubts=doubts),
        )
        assert both != (True, True)


@given(st.lists(st.floats(0.0, 1.5), min_size=1, max_size=40), st.floats(0.0, 3000.0))
def test_sessions_follow_each_other_with_pauses(steps_s: list[float], pause_ms: float) -> None:
    """However many want to go to one drafter, and whenever they look."""
    config = MovingConfig(pause_ms=pause_ms)
    clock = HandClock()
    arrivals, moved_s = Arrivals(config, clock), list[float]()
    for step_s in steps_s:
        clock.now_s += step_s
        slow, fast = candidate("a", rate=Estimate(1.0)), candidate("b", rate=Estimate(2.0))
        if Moves(config, arrivals).leave(slow, [fast]) is not None:
            moved_s.append(clock.now_s)
    assert len(moved_s) >= 1
    assert all(later - earlier >= pause_ms / 1e3 for earlier, later in pairwise(moved_s))


@given(configs, beliefs)
def test_the_short_cut_never_keeps_a_session_that_would_leave(config: MovingConfig, known: Beliefs) -> None:
    """``may_leave`` looks at the best rate alone; where it says no, nobody is left."""
    own = candidate(NAMES[0], rate=known[NAMES[0]])
    best = max((rate.mean for rate in known.values() if rate is not None), default=0.0)
    moves, _ = session(config)
    could = moves.may_leave(own, best)
    assert could or moves.leave(own, candidates(known)) is None
