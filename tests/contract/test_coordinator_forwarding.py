"""Several shards: a request about a session reaches its owner through any of them, and never goes round in circles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import grpc
import pytest

from draftmesh.client import GenerateOptions
from draftmesh.coordinator.replicas import Membership
from draftmesh.core.errors import UnavailableError, UnknownSessionError
from draftmesh.core.sampling import FinishReason
from draftmesh.transport.status import translated_errors
from draftmesh.v1 import coordinator_pb2, coordinator_pb2_grpc
from tests.helpers.coordinator_bench import CONFIG, PATH, Scene, coordinator_scene, fake_verifier
from tests.helpers.generation_bench import text_of

WHOLE = text_of(PATH[:60])


@pytest.fixture
async def shards() -> AsyncIterator[list[Scene]]:
    """Two shards that know each other."""
    async with AsyncExitStack() as stack:
        scenes = []
        for shard in range(2):
            config = replace(CONFIG, shard=shard, peers=("127.0.0.1:1", "127.0.0.1:1"))
            scenes.append(await stack.enter_async_context(coordinator_scene(fake_verifier(step_ms=3.0), config=config)))
        tell_all(scenes, tuple(scene.shard.address for scene in scenes))
        yield scenes


def tell_all(scenes: list[Scene], addresses: tuple[str, ...]) -> None:
    """Set the addresses of the shards everywhere."""
    for scene in scenes:
        scene.shard.update_membership(Membership(verifiers=("verifier:1",), shards=addresses))


async def test_a_session_id_names_its_shard(shards: list[Scene]) -> None:
    """Ids of both shards differ in the shard that they name."""
    results = [await scene.generate() for scene in shards]
    assert [result.session_id.partition("-")[0] for result in results] == ["s0", "s1"]


async def test_sessions_are_described_by_any_shard(shards: list[Scene]) -> None:
    """GetSession at the other shard is answered by the owner."""
    result = await shards[1].generate()
    session = await shards[0].client.session(result.session_id)
    assert (session.shard, session.data) == (1, WHOLE)


async def test_sessions_are_resumed_through_any_shard(shards: list[Scene]) -> None:
    """The rest of a text can be had from the shard that a client happens to reach."""
    result = await shards[0].generate()
    async with shards[1].client.resume(result.session_id, 5) as stream:
        assert b"".join([chunk.data async for chunk in stream]) == WHOLE[5:]


async def test_sessions_are_cancelled_through_any_shard(shards: list[Scene]) -> None:
    """CancelSession at the other shard ends the stream."""
    async with shards[0].client.stream("The ", GenerateOptions(max_tokens=2000)) as stream:
        chunks = aiter(stream)
        await anext(chunks)
        assert await shards[1].client.cancel(stream.session_id) is True
        _ = [chunk async for chunk in chunks]
        assert stream.result.finish_reason is FinishReason.CANCELLED


async def test_a_reader_that_leaves_ends_the_forwarded_call(shards: list[Scene]) -> None:
    """Cancelling a forwarded resume frees the owner's reader and leaves the session alone."""
    async with shards[0].client.stream("The ", GenerateOptions(max_tokens=60)) as stream:
        chunks = aiter(stream)
        first = await anext(chunks)
        async with shards[1].client.resume(stream.session_id, 0) as reader:
            await anext(aiter(reader))
        rest = b"".join([chunk.data async for chunk in chunks])
        assert first.data + rest == WHOLE


async def test_a_forwarded_request_is_not_forwarded_again(shards: list[Scene]) -> None:
    """Shards that disagree about who owns a session answer NOT_FOUND instead of asking each other for ever."""
    result = await shards[1].generate()
    tell_all(shards, (shards[0].shard.address, shards[0].shard.address))
    with pytest.raises(UnknownSessionError):
        await shards[0].client.session(result.session_id)


async def test_a_shard_that_is_down_is_unavailable(shards: list[Scene]) -> None:
    """The owner may come back: UNAVAILABLE, not NOT_FOUND."""
    result = await shards[1].generate()
    tell_all(shards, (shards[0].shard.address, ""))
    with pytest.raises(UnavailableError, match="shard 1"):
        await shards[0].client.session(result.session_id)


async def test_pools_tell_how_many_shards_there_are(shards: list[Scene]) -> None:
    """ListPools names the shard that answers."""
    async with grpc.aio.insecure_channel(shards[1].shard.address) as channel:
        stub = coordinator_pb2_grpc.CoordinatorServiceStub(channel)
        with translated_errors("coordinator"):
            pools = await asyncio.wait_for(stub.ListPools(coordinator_pb2.ListPoolsRequest(), timeout=10), 10)
    assert (pools.shard, pools.shards) == (1, 2)
