"""One sentence that says what to do with a pair."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from draftmesh.core.sampling import Method
from draftmesh.inspection.trials import Trial
from draftmesh.inspection.vocabularies import VocabularyReport

_WORTH_IT = 1.05
"""Drafting must be this much faster than no drafting to be recommended."""

_TRUSTING = frozenset(method.label for method in Method if method.judges_by_ratio)


def recommend(vocabularies: VocabularyReport, trials: Sequence[Trial], problem: str = "") -> str:
    """What to do with this pair.

    Args:
        vocabularies: What the tokenizers share.
        trials: What was measured; empty: nothing was served.
        problem: Why the pair could not be served; empty if it could, or was not to be.
    """
    target, drafter = vocabularies.target, vocabularies.drafter
    if target.refusal:
        return f"These two cannot be paired: {target.model} cannot be a target, since {target.refusal}."
    if drafter.refusal:
        return f"These two cannot be paired: {drafter.model} cannot draft, since {drafter.refusal}."
    if problem:
        return f"These two cannot be paired: {problem}."
    measured = [trial for trial in trials if trial.figures is not None]
    return _by_speed(measured) if measured else _by_vocabulary(vocabularies)


def _by_vocabulary(vocabularies: VocabularyReport) -> str:
    shared = vocabularies.shared
    if shared is None:
        return "The pair can be served with exact: the drafter proposes text and needs no tokenizer of its own."
    if shared.same_vocabulary:
        return "The pair has one vocabulary and can be served with every method, rejection among them."
    return (
        f"The pair can be served with exact, tli-exact, tli and slrs: {shared.target.mass:.0%} of the target's tokens "
        f"on this corpus are shared, which bounds what tli can have accepted."
    )


def _by_speed(trials: Sequence[Trial]) -> str:
    choices = [_choice(trials, temperature) for temperature in dict.fromkeys(trial.temperature for trial in trials)]
    parts = [f"{action} at {_join([text for _, text in group])}" for action, group in groupby(choices, lambda c: c[0])]
    trusting = any(action.removeprefix("use ") in _TRUSTING for action, _ in choices)
    caution = ", on trusted drafters only" if trusting else ""
    sentence = ", and ".join(parts) + caution + "."
    return sentence[0].upper() + sentence[1:]


def _choice(trials: Sequence[Trial], temperature: float) -> tuple[str, str]:
    """What to do at one temperature, and the temperature with what it gains."""
    rates = {trial.method: trial.tokens_per_second for trial in trials if trial.temperature == temperature}
    off = rates.pop(Method.OFF.label, 0.0)
    rates.pop(Method.AUTO.label, None)  # it stands for one of the others
    best = max(rates, key=lambda method: rates[method], default="")
    at = f"T = {temperature:g}"
    if not best or rates[best] < _WORTH_IT * off:
        return "leave drafting off", f"{at} ({off:.1f} tokens/s)" if off else at
    return f"use {best}", f"{at} ({rates[best] / off:.2f} times the speed)" if off else at


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
