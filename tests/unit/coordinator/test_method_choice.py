"""``auto``: candidates, trials, and the best one from then on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from draftmesh.coordinator.method_choice import (
    MethodChoice,
    MethodChoiceConfig,
    Option,
    Situation,
    band_of,
    candidates,
    suits,
)
from draftmesh.core.endpoint import DrafterInfo, VerifierInfo
from draftmesh.core.errors import ConfigError
from draftmesh.core.sampling import Method

ALL = tuple(method for method in Method if method is not Method.AUTO)
TARGET = VerifierInfo("model", b"target", b"vocabulary", b"tokenizer", ALL, 100, 16, 8)
DRAFTER = DrafterInfo("drafter", b"drafter", b"other vocabulary", ALL, 100, 32, 8)
TWIN = replace(DRAFTER, digest=b"twin", vocabulary_digest=b"vocabulary")
NGRAM = replace(DRAFTER, digest=b"ngram", vocabulary_digest=b"")
HERE = Situation(b"target", 1)
OFF, EXACT, TLI, SLRS = (
    Option(Method.OFF),
    *(Option(method, b"drafter") for method in (Method.EXACT, Method.TLI, Method.SLRS)),
)


def methods(*drafters: DrafterInfo, trusted: bool = True, seeded: bool = False) -> list[Method]:
    """The methods of the candidates."""
    return [option.method for option in candidates(TARGET, drafters, trusted=trusted, seeded=seeded)]


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (methods(), {Method.OFF}),
        (methods(DRAFTER), set(ALL) - {Method.REJECTION}),
        (methods(TWIN), set(ALL)),
        (methods(NGRAM), {Method.OFF, Method.EXACT}),
        (methods(TWIN, trusted=False), {Method.OFF, Method.EXACT, Method.TLI_EXACT}),
        (methods(TWIN, seeded=True), {Method.OFF, Method.EXACT, Method.TLI_EXACT}),
        (methods(replace(TWIN, methods=(Method.EXACT,))), {Method.OFF, Method.EXACT}),
    ],
)
def test_candidates_fit_vocabularies_trust_and_seed(offered: list[Method], expected: set[Method]) -> None:
    """Off is always one; the others are what the pair can do and the client's wishes allow."""
    assert set(offered) == expected
    assert len(offered) == len(expected)


def test_a_target_that_does_not_offer_a_method_rules_it_out() -> None:
    """Both sides must know how."""
    assert not suits(Method.TLI, replace(TARGET, methods=(Method.OFF, Method.EXACT)), DRAFTER)
    assert suits(Method.TLI, TARGET, DRAFTER)


def test_bands_tell_greedy_from_sampled() -> None:
    """Temperature 0 is a band of its own, and hot texts are not judged by cool ones."""
    assert [band_of(temperature) for temperature in (0.0, 0.3, 0.7, 1.0, 1.5)] == [0, 1, 2, 3, 4]


def play(
    choice: MethodChoice, speeds: dict[Option, float], sessions: int, options: tuple[Option, ...]
) -> Counter[Option]:
    """Run sessions of 100 tokens one after the other; how often each option was chosen."""
    chosen: Counter[Option] = Counter()
    for _ in range(sessions):
        option = choice.choose(HERE, options)
        chosen[option] += 1
        choice.record(HERE, option, tokens=100, seconds=100 / speeds[option])
    return chosen


@pytest.mark.parametrize("best", [OFF, EXACT, TLI])
def test_the_fastest_is_chosen_after_a_few_trials_of_each(best: Option) -> None:
    """Also ``off``, where drafting is slower; what is not the best gets its trials and rare probes, and no more."""
    speeds = {option: 50.0 if option == best else 30.0 for option in (OFF, EXACT, TLI)}
    chosen = play(MethodChoice(MethodChoiceConfig()), speeds, 100, (EXACT, OFF, TLI))
    assert chosen[best] >= 100 - 2 * 3 - 100 // 32
    assert min(chosen.values()) >= 3


def test_sessions_that_begin_together_do_not_all_try_the_same() -> None:
    """A trial counts when it begins."""
    choice = MethodChoice(MethodChoiceConfig(trials=2))
    assert [choice.choose(HERE, (EXACT, OFF, TLI)) for _ in range(6)] == [EXACT, EXACT, OFF, OFF, TLI, TLI]


def test_of_equally_fast_candidates_the_first_is_chosen() -> None:
    """Speeds within the margin do not make sessions alternate."""
    choice = MethodChoice(MethodChoiceConfig(trials=1, margin=0.05))
    for option, tokens in ((EXACT, 96), (TLI, 100), (OFF, 90)):
        choice.choose(HERE, (EXACT, TLI, OFF))
        choice.record(HERE, option, tokens=tokens, seconds=1.0)
    assert choice.choose(HERE, (EXACT, TLI, OFF)) == EXACT
    choice.record(HERE, TLI, tokens=130, seconds=1.0)
    assert choice.choose(HERE, (EXACT, TLI, OFF)) == TLI


def test_what_became_faster_is_found_out() -> None:
    """Probes see that a drafter has recovered, and the choice follows."""
    choice, options = MethodChoice(MethodChoiceConfig(probe_every=8)), (EXACT, OFF)
    play(choice, {EXACT: 10.0, OFF: 30.0}, 40, options)
    play(choice, {EXACT: 90.0, OFF: 30.0}, 200, options)
    assert play(choice, {EXACT: 90.0, OFF: 30.0}, 8, options)[EXACT] >= 7


def test_slrs_is_never_tried_and_chosen_when_it_was_measured_faster() -> None:
    """Only sessions that named it tell how fast it is."""
    options = (EXACT, OFF, SLRS)
    choice = MethodChoice(MethodChoiceConfig())
    assert play(choice, {EXACT: 40.0, OFF: 30.0}, 80, options)[SLRS] == 0
    choice.record(HERE, SLRS, tokens=100, seconds=1.0)
    assert choice.choose(HERE, options) == SLRS


def test_situations_are_learned_apart() -> None:
    """What was measured at one temperature, or of one target, says nothing of another."""
    choice = MethodChoice(MethodChoiceConfig(trials=1))
    play(choice, {EXACT: 10.0, OFF: 30.0}, 10, (EXACT, OFF))
    assert choice.choose(HERE, (EXACT, OFF)) == OFF
    assert choice.choose(replace(HERE, band=2), (EXACT, OFF)) == EXACT
    assert choice.choose(replace(HERE, target_digest=b"other"), (EXACT, OFF)) == EXACT


def test_without_a_measurement_the_first_candidate_is_taken() -> None:
    """Sessions that never end, or have no token, teach nothing."""
    choice = MethodChoice(MethodChoiceConfig(trials=1))
    for _ in range(5):
        choice.record(HERE, choice.choose(HERE, (EXACT, OFF)), tokens=0, seconds=0.0)
    assert choice.choose(HERE, (EXACT, OFF)) == EXACT


@pytest.mark.parametrize(
    "wrong", [{"trials": 0}, {"probe_every": 1}, {"margin": 1.0}, {"forgetting": 0.0}, {"forgetting": 1.5}]
)
def test_nonsense_is_refused_by_name(wrong: dict[str, float]) -> None:
    """The error names the field."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MethodChoiceConfig(**wrong).validate()  # type: ignore[arg-type]
