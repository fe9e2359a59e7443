"""``auto``: trials, and the best one from then on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from draftmesh.coordinator.methods.candidates import Option
from draftmesh.coordinator.methods.choice import MethodChoice, MethodChoiceConfig, Situation
from draftmesh.core.errors import ConfigError
from draftmesh.core.ledger import Decoded
from draftmesh.core.sampling import Method

HERE = Situation(b"target", 1)
OFF, EXACT, TLI, TLI_EXACT, SLRS = (
    Option(Method.OFF),
    *(Option(method, b"drafter") for method in (Method.EXACT, Method.TLI, Method.TLI_EXACT, Method.SLRS)),
)
STEPS_PER_S = {OFF: 14.0, EXACT: 8.0, TLI: 8.0, TLI_EXACT: 8.0, SLRS: 5.0}


def choice_of(**options: float) -> MethodChoice:
    """A fresh one."""
    return MethodChoice(MethodChoiceConfig(**options), Random(11))  # type: ignore[arg-type]


def decoded(option: Option, tokens_per_s: float, noise: float = 1.0) -> Decoded:
    """A session of 50 steps."""
    steps_per_s = STEPS_PER_S[option]
    return Decoded(max(1, round(50 * noise * tokens_per_s / steps_per_s)), 50, 50 / steps_per_s)


def play(
    choice: MethodChoice,
    speeds: dict[Option, float],
    sessions: int,
    options: tuple[Option, ...],
    noise: Random | None = None,
) -> Counter[Option]:
    """Run sessions one after the other, those that draft of scattering luck; how often each option was chosen."""
    chosen: Counter[Option] = Counter()
    for _ in range(sessions):
        option = choice.choose(HERE, options)
        chosen[option] += 1
        luck = max(0.1, noise.gauss(1, 0.25)) if noise is not None and option != OFF else 1.0
        choice.record(HERE, option, decoded(option, speeds[option], luck))
    return chosen


@pytest.mark.parametrize("best", [OFF, EXACT, TLI])
def test_the_fastest_is_chosen_after_a_few_trials_of_each(best: Option) -> None:
    """Also ``off``, where drafting is slower; what is far from the best gets little more than its trials and probes."""
    speeds = {option: 50.0 if option == best else 25.0 for option in (OFF, EXACT, TLI)}
    chosen = play(choice_of(), speeds, 100, (EXACT, OFF, TLI))
    assert chosen[best] >= 100 - 2 * 2 - 100 // 32 - 8
    assert min(chosen.values()) >= 2


@pytest.mark.parametrize(
    "speeds",
    [
        {OFF: 14.0, EXACT: 20.0, TLI: 20.0, TLI_EXACT: 20.0},
        {OFF: 14.0, EXACT: 18.0, TLI: 23.0, TLI_EXACT: 18.0},
        {OFF: 14.0, EXACT: 12.0, TLI: 11.0, TLI_EXACT: 11.0},
    ],
)
def test_luck_does_not_lead_it_astray(speeds: dict[Option, float]) -> None:
    """Sessions that scatter by a quarter: over 300 of them the mean speed is within 5 % of the best's, in the mean."""
    shares = []
    for seed in range(40):
        choice, noise = MethodChoice(MethodChoiceConfig(), Random(seed)), Random(1000 + seed)
        chosen = play(choice, speeds, 300, tuple(speeds), noise)
        shares.append(sum(speeds[option] * count for option, count in chosen.items()) / 300 / max(speeds.values()))
    assert sum(shares) / len(shares) > 0.95


def test_sessions_that_begin_together_do_not_all_try_the_same() -> None:
    """A trial counts when it begins."""
    choice = choice_of(trials=2)
    assert [choice.choose(HERE, (EXACT, OFF, TLI)) for _ in range(6)] == [EXACT, EXACT, OFF, OFF, TLI, TLI]


def test_sessions_that_named_a_method_are_as_good_as_trials() -> None:
    """What they have shown need not be tried."""
    choice = choice_of(trials=1)
    choice.record(HERE, EXACT, decoded(EXACT, 30.0))
    choice.record(HERE, OFF, decoded(OFF, 14.0))
    assert choice.choose(HERE, (EXACT, OFF)) == EXACT


def test_what_became_faster_is_found_out() -> None:
    """Probes see that a drafter has recovered, and the choice follows."""
    choice, options = choice_of(probe_every=8), (EXACT, OFF)
    play(choice, {EXACT: 5.0, OFF: 14.0}, 40, options)
    play(choice, {EXACT: 40.0, OFF: 14.0}, 200, options)
    assert play(choice, {EXACT: 40.0, OFF: 14.0}, 8, options)[EXACT] >= 7


def test_slrs_is_never_tried_and_chosen_when_it_was_measured_clearly_faster() -> None:
    """Only sessions that named it tell how fast it is, and one that was lucky is not enough."""
    options = (EXACT, OFF, SLRS)
    choice = choice_of()
    assert play(choice, {EXACT: 40.0, OFF: 14.0}, 80, options)[SLRS] == 0
    choice.record(HERE, SLRS, decoded(SLRS, 60.0))
    assert choice.choose(HERE, options) == EXACT
    for _ in range(8):
        choice.record(HERE, SLRS, decoded(SLRS, 60.0))
    assert choice.choose(HERE, options) == SLRS


def test_situations_are_learned_apart() -> None:
    """What was measured at one temperature, or of one target, says nothing of another."""
    choice = choice_of(trials=1)
    play(choice, {EXACT: 5.0, OFF: 14.0}, 10, (EXACT, OFF))
    assert choice.choose(HERE, (EXACT, OFF)) == OFF
    assert choice.choose(replace(HERE, band=2), (EXACT, OFF)) == EXACT
    assert choice.choose(replace(HERE, target_digest=b"other"), (EXACT, OFF)) == EXACT


def test_without_a_measurement_the_first_candidate_is_taken() -> None:
    """Sessions that never end, or have no token, teach nothing."""
    choice = choice_of(trials=1)
    for _ in range(5):
        choice.record(HERE, choice.choose(HERE, (EXACT, OFF)), Decoded())
    assert choice.choose(HERE, (EXACT, OFF)) == EXACT


@pytest.mark.parametrize(
    "wrong",
    [
        {"trials": 0},
        {"probe_every": 1},
        {"session_noise": 0.0},
        {"method_spread": float("nan")},
        {"time_noise": 0.0},
        {"time_spread": 0.0},
        {"greedy_id_handicap": -0.1},
        {"greedy_id_handicap": 1.0},
        {"forgetting": 0.0},
        {"forgetting": 1.5},
    ],
)
def test_nonsense_is_refused_by_name(wrong: dict[str, float]) -> None:
    """The error names the field."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MethodChoiceConfig(**wrong).validate()  # type: ignore[arg-type]
