"""Which drafters a shard's sessions come to, over real gRPC with fake peers."""

from __future__ import annotations

from dataclasses import replace

from draftmesh.client import GenerateOptions
from draftmesh.coordinator.methods.choice import MethodChoiceConfig
from draftmesh.coordinator.replicas import Membership
from draftmesh.coordinator.routing.config import RoutingConfig
from draftmesh.coordinator.routing.moving import MovingConfig
from draftmesh.coordinator.routing.rates import RatesConfig
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.errors import UnavailableError
from tests.helpers.coordinator_bench import (
    CONFIG,
    PATH,
    coordinator_scene,
    fake_drafter,
    fake_verifier,
    until_members,
    until_ready,
)
from tests.helpers.generation_bench import text_of
from tests.helpers.peers.text_drafters import FakeDrafter
from tests.helpers.peers.wire import Faults

FULL, FREE = LoadReport(active_sessions=8, max_sessions=8), LoadReport(max_sessions=8)
WHOLE = text_of(PATH[:100])


def drafter(digest: bytes, **options: object) -> FakeDrafter:
    """Of a model of its own, with the digest for a name."""
    peer = fake_drafter(name=digest.decode(), **options)
    peer.digest = digest
    return peer


async def test_sessions_go_to_the_drafter_whose_drafts_are_accepted() -> None:
    """The other one is tried a few times."""
    good, bad = drafter(b"good"), drafter(b"bad", accuracy=0.0)
    async with coordinator_scene(good, bad, fake_verifier()) as scene:
        for _ in range(24):
            await scene.generate(method="exact")
    assert len(good.opened) + len(bad.opened) == 24
    assert len(good.opened) >= 14


async def test_what_is_known_of_a_drafter_goes_with_it() -> None:
    """One that was never of use leaves the membership and comes again: it is a new one, and is tried."""
    bad = drafter(b"bad", accuracy=0.0)
    async with coordinator_scene(drafter(b"good"), bad, fake_verifier()) as scene:
        for _ in range(8):
            await scene.generate(method="exact", drafter="good")
            await scene.generate(method="exact", drafter="bad")
        whole = Membership(tuple(scene.drafters), tuple(scene.verifiers))
        scene.shard.update_membership(replace(whole, drafters=("drafter:1",)))
        await until_members(scene.shard, 2)
        scene.shard.update_membership(whole)
        await until_ready(scene.shard, 3)
        for _ in range(16):
            await scene.generate(method="exact")
    assert len(bad.opened) > 8


async def test_a_session_moves_to_the_drafter_that_its_shard_knows_to_be_better() -> None:
    """As soon as that is free, in the middle of its text, which is the same."""
    good, bad = drafter(b"good"), drafter(b"bad", accuracy=0.0)
    routing = RoutingConfig(RatesConfig(window_tokens=4, window_noise=0.2), MovingConfig(check_ms=20.0))
    config = replace(CONFIG, routing=routing)
    async with coordinator_scene(good, bad, fake_verifier(step_ms=20.0), config=config) as scene:
        await scene.generate(method="exact", drafter="good")
        await scene.generate(method="exact", drafter="bad")
        good.reports.say(FULL)
        options = GenerateOptions(max_tokens=100, method="exact")
        async with scene.client.stream("The ", options) as stream:
            chunks = aiter(stream)
            while bad.num_open == 0:
                await anext(chunks)
            good.reports.say(FREE)
            async for _ in chunks:
                pass
    assert stream.result.data == WHOLE
    assert good.opened[-1].committed != ()
    assert stream.result.ledger.drafter_failures == 0


async def test_a_session_with_two_models_teaches_auto_of_neither() -> None:
    """Both are still to be tried, and are."""
    dying, other = drafter(b"a", faults=Faults([None, *[UnavailableError("gone")] * 1000], [40])), drafter(b"b")
    other.reports.say(FULL)
    config = replace(CONFIG, method_choice=MethodChoiceConfig(trials=1))
    async with coordinator_scene(dying, other, fake_verifier(step_ms=10.0), config=config) as scene:
        options = GenerateOptions(max_tokens=100, method="exact")
        async with scene.client.stream("The ", options) as stream:
            chunks = aiter(stream)
            while dying.num_open == 0:
                await anext(chunks)
            other.reports.say(FREE)
            async for _ in chunks:
                pass
        assert (stream.result.data, len(other.opened)) == (WHOLE, 1)
        methods = [(await scene.generate(method="auto")).method for _ in range(3)]
    assert methods == ["exact", "exact", "off"]
