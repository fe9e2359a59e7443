"""The asyncio client against a scripted coordinator on loopback."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from draftmesh.client import AsyncClient, GenerateOptions
from draftmesh.core.errors import (
    DeadlineError,
    DraftmeshError,
    ExhaustedError,
    PromptTooLongError,
    StateError,
    UnavailableError,
    UnknownModelError,
    UnknownSessionError,
)
from draftmesh.core.sampling import FinishReason
from draftmesh.transport.config import ChannelConfig
from draftmesh.v1 import common_pb2, coordinator_pb2
from tests.helpers.scripted_coordinator import (
    SESSION_ID,
    ScriptedCoordinator,
    chunk,
    endless,
    fails,
    says,
    serving,
    started,
)
from tests.helpers.up import free_port

ENDED = coordinator_pb2.GetSessionResponse(
    session_id=SESSION_ID, method=common_pb2.METHOD_OFF, text=b"abc", finish_reason=common_pb2.FINISH_REASON_EOS
)


async def test_a_generation_is_streamed() -> None:
    """Chunks come one by one, and after the last there is a result."""
    async with serving(ScriptedCoordinator()) as address, AsyncClient(address) as client:
        async with client.stream("abc") as stream:
            chunks = [(chunk.offset, chunk.data) async for chunk in stream]
        assert chunks == [(0, b"a"), (1, b"b"), (2, b"c")]
        assert (stream.session_id, stream.result.text, stream.result.completion_tokens) == (SESSION_ID, "abc", 3)


async def test_generate_waits_for_the_end() -> None:
    """Without streaming the result is the same."""
    async with serving(ScriptedCoordinator()) as address, AsyncClient(address) as client:
        result = await client.generate("abc")
    assert (result.text, result.finish_reason) == ("abc", FinishReason.LENGTH)


async def test_options_reach_the_coordinator() -> None:
    """The request is the one that the options make."""
    coordinator, options = ScriptedCoordinator(), GenerateOptions(seed=3, stop=("x",), drafter="small")
    async with serving(coordinator) as address, AsyncClient(address) as client:
        await client.generate("abc", options)
    assert coordinator.requests == [options.request("abc")]


async def test_resuming_names_session_and_offset() -> None:
    """A resumed stream asks for a session's text from an offset on."""
    coordinator = ScriptedCoordinator()
    async with (
        serving(coordinator) as address,
        AsyncClient(address) as client,
        client.resume(SESSION_ID, 7) as stream,
    ):
        _ = [chunk async for chunk in stream]
    resume = coordinator_pb2.Resume(session_id=SESSION_ID, offset=7)
    assert coordinator.requests == [coordinator_pb2.GenerateRequest(resume=resume)]


@pytest.mark.parametrize("error", [UnknownModelError("no model x"), PromptTooLongError("the prompt has 9 tokens")])
async def test_errors_come_back_as_they_were_raised(error: DraftmeshError) -> None:
    """The client raises the class and the words that the coordinator raised."""
    async with serving(ScriptedCoordinator(fails(error))) as address, AsyncClient(address) as client:
        with pytest.raises(type(error)) as caught:
            await client.generate("abc")
    assert (type(caught.value), str(caught.value)) == (type(error), str(error))


async def test_a_refusal_says_when_to_come_back() -> None:
    """The hint of ExhaustedError travels."""
    script = fails(ExhaustedError("full", retry_after_ms=321))
    async with serving(ScriptedCoordinator(script)) as address, AsyncClient(address) as client:
        with pytest.raises(ExhaustedError, match="full") as caught:
            await client.generate("abc")
    assert caught.value.retry_after_ms == 321


async def test_an_error_in_the_middle_keeps_what_came_before() -> None:
    """Chunks before the error are delivered, then it is raised."""
    coordinator = ScriptedCoordinator(fails(UnavailableError("no verifier is left"), started(), chunk(b"ab")))
    async with serving(coordinator) as address, AsyncClient(address) as client, client.stream("x") as stream:
        chunks = aiter(stream)
        assert (await anext(chunks)).data == b"ab"
        with pytest.raises(UnavailableError, match="no verifier is left"):
            await anext(chunks)


async def test_a_stream_that_breaks_off_is_unavailable() -> None:
    """A stream that ends without its last message is no result."""
    async with serving(ScriptedCoordinator(says(started(), chunk(b"a")))) as address, AsyncClient(address) as client:
        with pytest.raises(UnavailableError, match="before the generation had finished"):
            await client.generate("x")


async def test_leaving_the_context_cancels_the_call() -> None:
    """The coordinator notices that the client has left, though it was not told so in words."""
    coordinator = ScriptedCoordinator(endless)
    async with serving(coordinator) as address, AsyncClient(address) as client:
        async with client.stream("x") as stream:
            await anext(aiter(stream))
            assert not coordinator.generation_ended.is_set()
        await coordinator.generation_ended.wait()


async def test_closing_the_client_cancels_its_generations() -> None:
    """A generation that runs when the client is closed ends on both sides."""
    coordinator = ScriptedCoordinator(endless)
    async with serving(coordinator) as address:
        client = AsyncClient(address)
        async with client.stream("x") as stream:
            chunks = aiter(stream)
            await anext(chunks)
            rest = asyncio.ensure_future(anext(chunks, None))
            await client.close()
            await coordinator.generation_ended.wait()
            await asyncio.wait([rest])
        assert rest.cancelled()


async def test_a_generation_has_a_deadline() -> None:
    """When ``timeout_s`` passes before the end, both sides give up."""
    coordinator = ScriptedCoordinator(endless)
    async with serving(coordinator) as address, AsyncClient(address) as client:
        with pytest.raises(DeadlineError):
            await client.generate("x", GenerateOptions(timeout_s=0.2))
        await coordinator.generation_ended.wait()


async def test_nobody_at_the_address_is_unavailable() -> None:
    """The error names the address."""
    address = f"127.0.0.1:{free_port()}"
    async with AsyncClient(address) as client:
        with pytest.raises(UnavailableError, match=address):
            await client.pools()


async def test_a_message_over_the_size_limit_is_an_error_of_ours() -> None:
    """What gRPC itself refuses is raised as part of the tree."""
    small = ChannelConfig(max_message_bytes=64)
    async with serving(ScriptedCoordinator()) as address, AsyncClient(address, channel=small) as client:
        with pytest.raises(ExhaustedError, match="RESOURCE_EXHAUSTED"):
            await client.generate("x" * 1000)


async def test_a_stream_must_be_entered() -> None:
    """Iterating without the context is the caller's mistake, and says what to do."""
    async with serving(ScriptedCoordinator()) as address, AsyncClient(address) as client:
        with pytest.raises(StateError, match="async with"):
            await anext(aiter(client.stream("x")))


async def test_a_session_is_read_and_cancelled() -> None:
    """A session that has ended is described, and cancelling it says that there was nothing to cancel."""
    async with serving(ScriptedCoordinator(session=ENDED)) as address, AsyncClient(address) as client:
        session = await client.session(SESSION_ID)
        assert (session.data, session.finish_reason) == (b"abc", FinishReason.EOS)
        assert await client.cancel(SESSION_ID) is False


async def test_an_unknown_session_is_named() -> None:
    """Reading and cancelling raise the same error."""
    async with serving(ScriptedCoordinator()) as address, AsyncClient(address) as client:
        for call in (client.session, client.cancel):
            with pytest.raises(UnknownSessionError, match="no session s9"):
                await call("s9")


async def test_the_pools_are_listed() -> None:
    """Members come back in the coordinator's order."""
    members = [coordinator_pb2.PoolMember(address=address) for address in ("b:1", "a:1")]
    async with serving(ScriptedCoordinator(members=members)) as address, AsyncClient(address) as client:
        assert [member.address for member in await client.pools()] == ["b:1", "a:1"]


async def test_a_closed_client_can_be_used_again() -> None:
    """The connection is made when it is needed."""
    async with serving(ScriptedCoordinator()) as address:
        client = AsyncClient(address)
        async with client:
            await client.generate("a")
        async with client:
            assert (await client.generate("b")).text == "b"


async def test_a_coordinator_that_stops_is_unavailable() -> None:
    """A stream whose coordinator goes away in the middle ends with that error."""
    async with AsyncExitStack() as server:
        address = await server.enter_async_context(serving(ScriptedCoordinator(endless)))
        async with AsyncClient(address) as client, client.stream("x") as stream:
            chunks = aiter(stream)
            await anext(chunks)
            await server.aclose()
            with pytest.raises(UnavailableError, match=address):
                await anext(chunks)
