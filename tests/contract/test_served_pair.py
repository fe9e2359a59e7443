"""A plan served inside this process, without Ray."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from draftmesh.cli.options import PairOptions, PoolOptions
from draftmesh.cli.plan import deployment_plan
from draftmesh.client import AsyncClient, GenerateOptions
from draftmesh.core.errors import ConfigError, UnavailableError
from draftmesh.demo.models import TARGET, demo_model_path
from draftmesh.demo.prompts import demo_prompts
from draftmesh.inspection.served_pair import ServedPair, served_pair
from draftmesh.inspection.sizes import model_sizes

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAIR = PairOptions(verifier_threads=1)
PLAN = deployment_plan(PAIR.of(str(demo_model_path(TARGET)), "demo", "ngram"), PoolOptions(listen="127.0.0.1:0"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair() -> AsyncIterator[ServedPair]:
    """The packaged target, a drafter with a model and one without."""
    async with served_pair(PLAN) as pair:
        yield pair


async def test_a_client_is_served_at_once(pair: ServedPair) -> None:
    """Both drafters and the verifier are ready, and drafting does not change the text."""
    options = GenerateOptions(max_tokens=16, temperature=0.8, seed=3)
    async with AsyncClient(pair.address) as client:
        members = await client.pools()
        texts = [
            (await client.generate(demo_prompts()[0], replace(options, method=method))).data
            for method in ("off", "exact")
        ]
    assert [member.ready for member in members] == [True] * 3
    assert texts[0] == texts[1] != b""


async def test_its_drafters_are_trusted(pair: ServedPair) -> None:
    """Methods that rely on what a drafter says of its own draws are offered."""
    async with AsyncClient(pair.address) as client:
        generation = await client.generate(demo_prompts()[1], GenerateOptions(max_tokens=8, method="tli"))
    assert (generation.method, generation.completion_tokens) == ("tli", 8)


async def test_every_replica_has_its_address(pair: ServedPair) -> None:
    """By the plan's names."""
    sizes = await model_sizes(pair.address_of("verifier-0"), pair.address_of("drafter-demo-0"))
    assert (sizes.target, sizes.drafter) == (3_803_392, 2_918_144)


async def test_leaving_ends_everything() -> None:
    """Nobody answers at the address any more."""
    without_drafter = deployment_plan(PAIR.of(str(demo_model_path(TARGET))), PoolOptions(listen="127.0.0.1:0"))
    async with served_pair(without_drafter) as pair:
        address = pair.address
    async with AsyncClient(address) as client:
        with pytest.raises(UnavailableError):
            await client.pools()


async def test_a_model_that_is_not_there_is_told() -> None:
    """The daemon's own error comes out, and what was started before it is ended."""
    plan = deployment_plan(PAIR.of(str(demo_model_path(TARGET)), "/no/such/model"), PoolOptions(listen="127.0.0.1:0"))
    with pytest.raises(ConfigError, match="/no/such/model"):
        async with served_pair(plan):
            pass
