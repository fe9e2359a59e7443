"""The overhead of real daemons."""

from __future__ import annotations

from pathlib import Path

import pytest

from draftmesh.bench.overhead.measuring import OverheadPlan, measure
from draftmesh.bench.overhead.result import STAGES
from draftmesh.client import GenerateOptions
from draftmesh.demo.prompts import demo_prompts
from tests.unit.bench.specs import PAIR, pair_specs


@pytest.mark.timeout(300)
async def test_rounds_are_measured_at_every_level(tmp_path: Path) -> None:
    """Every stage that a process can see takes some time, also the forward, which only the verifier sees.

    So does a message alone.
    """
    options = GenerateOptions(max_tokens=16, method="exact", ignore_eos=True, timeout_s=60.0)
    plan = OverheadPlan((1, 2), demo_prompts()[:2], options, generations=1)
    result = await measure(pair_specs(), PAIR, plan, tmp_path, lambda _: None)
    assert [level.streams for level in result.levels] == [1, 2]
    for level in result.levels:
        assert level.rounds > 0
        assert all(level.stages_ms[name].p99 > 0 for name in STAGES)
    assert 0 < result.bare_ms.p50 <= result.bare_ms.p99
    assert result.holds is (result.levels[0].overhead_ms.p50 <= 2.0)
    assert [len(series.x) for series in result.plots()[0].series] == [2, 2, 2]
