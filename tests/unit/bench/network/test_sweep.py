"""One round trip time, on real daemons."""

from __future__ import annotations

import pytest

from draftmesh.bench.network.sweep import SweepPlan, measure_point
from draftmesh.bench.pair_specs import members_of
from draftmesh.bench.turns import Prompts
from draftmesh.client import GenerateOptions
from draftmesh.demo.prompts import demo_prompts
from tests.unit.bench.specs import pair_specs


@pytest.mark.timeout(300)
async def test_drafting_is_measured_with_and_without_overlap_behind_a_delay() -> None:
    """Drafts come through the proxy and are judged; each series is compared with ``off``."""
    options = GenerateOptions(max_tokens=8, method="exact", ignore_eos=True, timeout_s=60.0)
    plan = SweepPlan("drafter", (), Prompts(demo_prompts()[:1], repeats=1, seed=7), options)
    specs = pair_specs(wait_ms=30_000.0)
    async with members_of(specs) as members:
        point = await measure_point(specs, members, plan, 2.0, lambda _: None)
    assert point.rtt_ms == 2.0
    assert min(point.with_overlap.median, point.without_overlap.median, point.off_tokens_per_second.median) > 0
    assert point.draft_length > 0
