"""What a verifier looks up while it decodes alone changes no text, over real gRPC on a tiny real target."""

from __future__ import annotations

from dataclasses import replace

import pytest

from draftmesh.core.sampling import Method, SamplingParams
from draftmesh.core.verify import VerifyOpen
from draftmesh.verifier.config import VerifierConfig
from tests.helpers.verifier_bench import CONFIG, PROMPT, opening, verifier_bench

GREEDY = SamplingParams()
SAMPLED = SamplingParams(temperature=0.8, top_p=0.95, top_k=100)
PENALISED = SamplingParams(
    temperature=1.0, repetition_penalty=1.3, presence_penalty=0.5, frequency_penalty=0.2, min_p=0.02
)
ALONE = replace(CONFIG, lookup_tokens=0)
LOOKS_UP = replace(CONFIG, lookup_tokens=8, calibrate=False)
"""Without a cost curve, as much is judged as there may be."""


async def run(config: VerifierConfig, request: VerifyOpen) -> tuple[list[int], int, int]:
    """What one free run to the end says, in how many steps of the engine, and rows that it computed beside the text."""
    async with verifier_bench(config) as bench, bench.session(request) as session:
        verdicts = await session.judge(free_run=request.stop.max_tokens)
        rows = await bench.running.engine.call(lambda engine: engine.stats.rows)
        more_rows = rows - len(request.prompt_ids) - len(session.ids) + 1
        return session.ids, sum(verdict.steps for verdict in verdicts), more_rows


@pytest.mark.parametrize("method", [Method.EXACT, Method.TLI_EXACT])
@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED, PENALISED], ids=["greedy", "sampled", "penalised"])
async def test_text_does_not_depend_on_what_is_looked_up(sampling: SamplingParams, method: Method) -> None:
    """It is that of the target alone, token by token, in no more steps, and something has been looked up."""
    request = opening(prompt=PROMPT * 3, max_tokens=60, sampling=sampling, method=method)
    alone = await run(ALONE, request)
    ids, steps, more_rows = await run(LOOKS_UP, request)
    assert alone == (ids, 60, 0)
    assert (len(ids), steps <= 60, more_rows > 0) == (60, True, True)


@pytest.mark.parametrize("method", [Method.OFF, Method.REJECTION])
async def test_nothing_is_looked_up_where_it_would_be_another_law(method: Method) -> None:
    """Or where plain decoding was asked for."""
    ids, steps, more_rows = await run(LOOKS_UP, opening(prompt=PROMPT * 3, max_tokens=30, method=method))
    assert (len(ids), steps, more_rows) == (30, 30, 0)
