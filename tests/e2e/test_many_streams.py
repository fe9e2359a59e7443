"""Many streams at once through one verifier and two drafters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from draftmesh.client import GenerateOptions
from draftmesh.demo.models import DRAFTER_SENTENCEPIECE, DRAFTER_UNIGRAM
from draftmesh.demo.prompts import all_prompts
from tests.helpers.deployment import Deployment, deployment, generate_all, until_released

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

STREAMS = 32
OPTIONS = GenerateOptions(max_tokens=48, temperature=0.8, seed=3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Deployment]:
    """One verifier, two drafters, one shard."""
    async with deployment(drafters=(DRAFTER_SENTENCEPIECE, DRAFTER_UNIGRAM)) as running:
        yield running


async def test_32_streams_share_one_verifier(running: Deployment) -> None:
    """All finish with the text that each has alone, in shared batches, and leave nothing behind."""
    prompts = all_prompts()[:STREAMS]
    alone = await generate_all(running.address, prompts, replace(OPTIONS, method="off"), concurrency=1)
    before = running.verifiers[0].stats
    together = await generate_all(running.address, prompts, replace(OPTIONS, method="exact"), concurrency=STREAMS)
    after = running.verifiers[0].stats
    assert [one.data for one in alone] == [one.data for one in together]
    steps = after.steps - before.steps
    occupancy = (after.sequence_steps - before.sequence_steps) / steps
    tokens = sum(generation.completion_tokens for generation in together)
    print(f"mean batch occupancy: {occupancy:.1f} sequences a step; {tokens} tokens in {steps} steps")
    assert occupancy > 2.0
    await until_released(running)
