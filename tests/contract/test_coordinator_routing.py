"""Which drafters a shard's sessions come to, over real gRPC with fake peers."""

from __future__ import annotations

from dataclasses import replace

from draftmesh.coordinator.replicas import Membership
from tests.helpers.coordinator_bench import (
    coordinator_scene,
    fake_drafter,
    fake_verifier,
    until_members,
    until_ready,
)
from tests.helpers.peers.text_drafters import FakeDrafter


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
