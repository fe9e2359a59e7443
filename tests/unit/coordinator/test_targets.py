"""Which target a name means, and where its tokenizer comes from."""

from __future__ import annotations

import asyncio

import pytest

from draftmesh.coordinator.pools.pool import VerifierPool
from draftmesh.coordinator.targets import Targets
from draftmesh.core.errors import InternalError, UnavailableError, UnknownModelError
from tests.helpers.coordinator_bench import fake_verifier, pool_of


async def until_all_ready(pool: VerifierPool) -> None:
    """Wait until every member reports."""
    while not pool.members or len(pool.ready) < len(pool.members):
        await pool.changed.wait()


async def test_a_target_is_found_by_its_name() -> None:
    """The tokenizer comes from a verifier, once, however many ask."""
    verifier = fake_verifier()
    pool = pool_of(a=verifier)
    targets = Targets(pool)
    async with pool.open(["a"]):
        await until_all_ready(pool)
        found = await asyncio.gather(targets.find("fake-target"), targets.find(""))
        assert found[0].tokenizer is found[1].tokenizer
        assert targets.models == ("fake-target",)
        with pytest.raises(UnknownModelError, match="served: fake-target"):
            await targets.find("other")


async def test_with_several_models_one_must_be_named() -> None:
    """An empty name is clear only where one model is served."""
    pool = pool_of(a=fake_verifier(), b=fake_verifier(model="b"))
    async with pool.open(["a", "b"]):
        await until_all_ready(pool)
        with pytest.raises(UnknownModelError, match="must be named"):
            await Targets(pool).find("")


async def test_during_an_upgrade_most_verifiers_decide() -> None:
    """Of two targets of one name the one with more ready verifiers is taken."""
    pool = pool_of(a=fake_verifier(target_digest=b"old"), b=fake_verifier(), c=fake_verifier())
    async with pool.open(["a", "b", "c"]):
        await until_all_ready(pool)
        assert (await Targets(pool).find("fake-target")).info.target_digest == b"target"


async def test_a_tokenizer_that_is_not_the_verifiers_own_is_refused() -> None:
    """And is asked for again the next time."""
    verifier = fake_verifier()
    verifier.vocabulary_digest = b"wrong"
    pool = pool_of(a=verifier)
    async with pool.open(["a"]):
        await until_all_ready(pool)
        targets = Targets(pool)
        for _ in range(2):
            with pytest.raises(InternalError, match="not its own"):
                await targets.find("")


async def test_before_any_verifier_has_answered_nothing_is_known() -> None:
    """That is a matter of time, not of the request."""
    pool = pool_of()
    async with pool.open([]):
        with pytest.raises(UnavailableError):
            await Targets(pool).find("fake-target")
