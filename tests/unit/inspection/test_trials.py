"""Every method at every temperature, each prompt once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from draftmesh.inspection.trials import Trial, TrialPlan, run_trials
from tests.unit.inspection.scripted_generator import ScriptedGenerator, silent_psi_meter

PLAN = TrialPlan(prompts=("a", "b"), methods=("off", "exact", "slrs"), temperatures=(0.0, 1.0), max_tokens=10, seed=7)


async def trials(generator: ScriptedGenerator, plan: TrialPlan = PLAN) -> tuple[Trial, ...]:
    """Run them without a word."""
    psi_meter = silent_psi_meter()
    return await run_trials(generator, plan, psi_meter=psi_meter, progress=lambda _: None)


async def test_every_method_is_measured_at_every_temperature() -> None:
    """In the order of the plan, over all prompts."""
    found = await trials(ScriptedGenerator({"off": 0, "exact": 4, "slrs": 2}))
    assert [(trial.method, trial.temperature) for trial in found] == [
        (method, temperature) for temperature in (0.0, 1.0) for method in ("off", "exact", "slrs")
    ]
    rates = [trial.figures.acceptance_rate for trial in found if trial.figures]
    assert rates == [0.0, 0.5, 0.25] * 2
    assert all(trial.figures.generations == 2 for trial in found if trial.figures)


async def test_what_is_not_offered_is_asked_for_once() -> None:
    """Its row says why at every temperature, and the others are measured."""
    generator = ScriptedGenerator({"off": 0, "exact": 4})
    found = await trials(generator)
    assert [trial.refusal for trial in found if trial.figures is None] == ["no slrs here"] * 2
    assert len([method for _, method, _, _ in generator.asked if method == "slrs"]) == 1


async def test_all_methods_get_the_same_seeds() -> None:
    """One for each prompt, so that texts can be compared."""
    generator = ScriptedGenerator({"off": 0, "exact": 4, "slrs": 1})
    await trials(generator)
    measured = [asked for asked in generator.asked[1:] if asked[2] == 1.0]
    assert [(prompt, seed) for prompt, _, _, seed in measured] == [("a", 7), ("b", 8)] * 3


@pytest.mark.parametrize("chosen", ["exact", "off"])
async def test_auto_is_free_to_choose(chosen: str) -> None:
    """It gets no seed, which would bind it, and the row says what it chose."""
    generator = ScriptedGenerator({"off": 0, "exact": 4, "auto": 0}, chosen)
    (trial,) = await trials(generator, replace(PLAN, methods=("auto",), temperatures=(0.7,)))
    assert trial.chosen == {chosen: 2}
    assert {seed for _, method, _, seed in generator.asked if method == "auto"} == {None}
