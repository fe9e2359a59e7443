"""A verifier under load, and continuous batching by transformers, on real daemons."""

from __future__ import annotations

import pytest

from draftmesh.bench.serve.measuring import ServePlan, measure
from draftmesh.client import GenerateOptions
from draftmesh.demo.prompts import demo_prompts
from tests.unit.bench.specs import PAIR, pair_specs

PLAN = ServePlan(
    prompts=demo_prompts()[:2],
    options=GenerateOptions(method="exact", timeout_s=60.0),
    concurrency=(2,),
    rates_per_s=(20.0,),
    rate_shares=(),
    requests_per_client=2,
    open_requests=2,
    least_tokens=4,
    most_tokens=8,
    repeats=1,
    seed=7,
    peer_threads=1,
    level_timeout_s=100.0,
)


@pytest.mark.timeout(300)
async def test_all_ways_serve_the_same_load() -> None:
    """Greedy decoding says as many tokens whoever decodes; every request is answered; the result draws itself."""
    result = await measure(pair_specs(ngram=True), PAIR, PLAN, lambda _: None)
    assert result.peer_failure == ""
    (level,), (arriving,) = result.closed, result.open
    assert level.peer is not None
    ways = (level.off, level.drafting, level.peer)
    assert len({way.tokens for way in ways}) == 1
    assert [way.requests for way in ways] == [4] * 3
    assert all(way.tokens_per_second.median > 0 for way in ways)
    assert (arriving.off.requests, arriving.drafting.requests) == (2, 2)
    assert arriving.off.tokens == arriving.drafting.tokens
    assert [len(plot.series) for plot in result.plots()] == [3, 3]
