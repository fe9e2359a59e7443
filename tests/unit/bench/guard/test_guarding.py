"""The guard on real daemons, and what it measures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from draftmesh.bench.guard.guarding import GuardPlan, guard
from draftmesh.bench.guard.scenarios import Scenario, random_words, scenarios
from draftmesh.bench.turns import Prompts
from draftmesh.client import GenerateOptions
from draftmesh.core.errors import ConfigError
from draftmesh.demo.prompts import demo_prompts
from draftmesh.drafter.config import DrafterConfig
from tests.unit.bench.specs import PAIR, pair_specs

OPTIONS = GenerateOptions(max_tokens=24, method="exact", ignore_eos=True, timeout_s=60.0)


@pytest.mark.timeout(300)
async def test_a_session_is_served_to_its_end_though_its_drafter_hangs(tmp_path: Path) -> None:
    """The drafter stops in the middle and serves again afterwards; both ways are compared after the first tokens."""
    plan = GuardPlan(Prompts(demo_prompts()[:1], 1, seed=7), OPTIONS, 12, hang_after_tokens=6, only=("hangs",))
    result = await guard(pair_specs(wait_ms=100.0), PAIR, plan, tmp_path, lambda _: None)
    (outcome,) = result.outcomes
    assert (outcome.label, outcome.ratio.count) == ("hangs", 1)
    assert outcome.ratio.median > 0
    assert outcome.holds is (outcome.ratio.median >= 0.95)
    (plot,) = result.plots()
    assert plot.series[0].y == [outcome.ratio.median]


def test_each_scenario_changes_one_thing(tmp_path: Path) -> None:
    """Another drafter, a delay, a hang, or traffic of which nothing is accepted."""
    (drafter,) = pair_specs().drafters
    found = scenarios(drafter, tmp_path, seed=3)
    assert [scenario.label.partition(":")[0] for scenario in found] == [
        "random weights",
        "20 times too slow",
        "hangs",
        "behind 100 ms",
        "little accepted",
    ]
    assert [scenario.drafter is not None for scenario in found] == [True, True, False, False, False]
    assert [scenario.delays.drafter_ms for scenario in found] == [None, None, None, 100.0, None]
    assert found[-1].options(OPTIONS) == replace(OPTIONS, temperature=2.0)
    assert found[0].options(OPTIONS) == OPTIONS


def test_a_drafter_without_a_model_has_no_scenarios(tmp_path: Path) -> None:
    """It says what it needs."""
    (drafter,) = pair_specs(ngram=True).drafters
    assert isinstance(drafter.config, DrafterConfig)
    with pytest.raises(ConfigError, match="needs a drafter with a model"):
        scenarios(drafter, tmp_path, seed=3)


def test_unrelated_traffic_has_prompts_of_its_own() -> None:
    """As many as there were, the same for the same seed, each another one."""
    prompts = ("def a():", "def b():")
    assert Scenario("related").texts(prompts, 3) == prompts
    first, second = Scenario("not", is_unrelated=True).texts(prompts, 3)
    assert (first, second) == (random_words(3), random_words(4))
    assert first != second
