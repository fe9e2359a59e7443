"""serve(): limits, health, reflection, draining, and its end when cancelled."""

# ruff: noqa: ARG001, ARG002 (handlers have gRPC's signature, whether they need all of it or not)

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from draftmesh.core.errors import CancelledByPeerError, ConfigError, ExhaustedError, FencedError, UnavailableError
from draftmesh.transport.channels import open_channel
from draftmesh.transport.config import ChannelConfig, ServerConfig
from draftmesh.transport.server import RunningServer
from draftmesh.transport.status import translated_errors
from draftmesh.v1.common_pb2 import TokenIds
from tests.helpers.servers import (
    DRAFTER_SERVICE,
    Context,
    ScriptedDrafter,
    ToyClient,
    running_server,
    toy_service,
)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
PATIENT = ServerConfig(drain_grace_s=60.0)


async def echo(request: TokenIds, context: Context) -> TokenIds:
    """A unary handler."""
    return request


async def call_for_ever(client: ToyClient) -> None:
    """Call until the server refuses."""
    while True:
        await client.unary_unary(TokenIds())


async def health_of(server: RunningServer, service: str) -> int:
    """What the health service says of a service."""
    async with open_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        response: health_pb2.HealthCheckResponse = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        status: int = response.status
        return status


class Held:
    """A streaming handler that answers once, and once more when it is released."""

    def __init__(self) -> None:
        """Held."""
        self.release = asyncio.Event()

    async def answer(self, request: TokenIds, context: Context) -> None:
        """The UnaryStream method."""
        await context.write(TokenIds(ids=[1]))
        await self.release.wait()
        await context.write(TokenIds(ids=[2]))


def ids_of(answer: object) -> list[int]:
    """The ids of an answer that must not be the end of the stream."""
    assert isinstance(answer, TokenIds)
    return list(answer.ids)


async def test_port_zero_gets_a_port_that_answers() -> None:
    """The address of the running server can be called."""
    async with running_server(toy_service(UnaryUnary=echo)) as server, open_channel(server.address) as channel:
        answer = await ToyClient(channel).unary_unary(TokenIds(ids=[3]))
    assert (server.address.rpartition(":")[0], list(answer.ids)) == ("127.0.0.1", [3])


async def test_a_taken_port_is_a_config_error() -> None:
    """Without reuse_port a second server on a port fails, and names the address."""
    async with running_server(toy_service()) as first:
        config = ServerConfig(listen=first.address)
        with pytest.raises(ConfigError, match=first.address):
            async with running_server(toy_service(), config=config):
                pass


async def test_a_server_with_a_port_of_its_own_is_reached_there_too() -> None:
    """Behind a shared port, own_listen gives each server an address that no other answers at."""
    config = ServerConfig(listen="127.0.0.1:0", own_listen="127.0.0.1:0", drain_grace_s=0.0)
    register = toy_service(UnaryUnary=echo)
    async with running_server(register, config=config) as server, open_channel(server.own_address) as own:
        answer = await ToyClient(own).unary_unary(TokenIds(ids=[3]))
    assert (server.own_address != server.address, list(answer.ids)) == (True, [3])


async def test_reuse_port_lets_two_servers_share_a_port() -> None:
    """With reuse_port both bind."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        config = ServerConfig(listen=address, reuse_port=True, drain_grace_s=0.0)
        async with (
            running_server(toy_service(), config=config) as one,
            running_server(toy_service(), config=config) as two,
        ):
            assert (address, address) == (one.address, two.address)


@pytest.mark.parametrize("listen", ["", "8000", "host", ":1", "host:x", "host:70000"])
def test_listen_addresses_that_make_no_sense(listen: str) -> None:
    """validate() names the field."""
    with pytest.raises(ConfigError, match="listen"):
        ServerConfig(listen=listen).validate()


def test_limits_that_make_no_sense() -> None:
    """validate() names the field."""
    with pytest.raises(ConfigError, match="hard_limit"):
        ServerConfig(max_pending_requests=2, max_pending_requests_hard_limit=1).validate()
    with pytest.raises(ConfigError, match="drain_grace_s"):
        ServerConfig(drain_grace_s=-1).validate()


@pytest.mark.parametrize(
    ("server_bytes", "client_bytes"), [(1000, 1 << 20), (1 << 20, 1000)], ids=["server's limit", "client's limit"]
)
async def test_a_message_above_a_limit_is_exhausted(server_bytes: int, client_bytes: int) -> None:
    """A request too large for the server, or an answer too large for the client, is RESOURCE_EXHAUSTED."""
    config = ServerConfig(max_message_bytes=server_bytes, drain_grace_s=0.0)
    channel_config = ChannelConfig(max_message_bytes=client_bytes)

    async def widen(request: TokenIds, context: Context) -> TokenIds:
        return TokenIds(ids=range(2000))

    async with (
        running_server(toy_service(UnaryUnary=widen), config=config) as server,
        open_channel(server.address, channel_config) as channel,
    ):
        request = TokenIds(ids=range(2000) if client_bytes > server_bytes else ())
        with pytest.raises(ExhaustedError), translated_errors("peer"):
            await ToyClient(channel).unary_unary(request)


async def test_the_interceptors_are_in_place() -> None:
    """An error raised by a handler reaches the client with its class."""

    async def refuse(request: TokenIds, context: Context) -> TokenIds:
        raise FencedError("newer")

    async with (
        running_server(toy_service(UnaryUnary=refuse)) as server,
        open_channel(server.address) as channel,
    ):
        with pytest.raises(FencedError), translated_errors("peer"):
            await ToyClient(channel).unary_unary(TokenIds())


@pytest.mark.parametrize("service", ["", DRAFTER_SERVICE])
async def test_health_of_the_server_and_its_services(service: str) -> None:
    """The whole server and each service are SERVING."""
    async with running_server(ScriptedDrafter().register, DRAFTER_SERVICE) as server:
        assert await health_of(server, service) == SERVING


async def test_health_of_an_unknown_service() -> None:
    """NOT_FOUND, as the protocol says."""
    async with running_server(toy_service()) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health_of(server, "other")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_of_one_service_can_be_set() -> None:
    """A daemon that loads its model may say NOT_SERVING meanwhile."""
    async with running_server(ScriptedDrafter().register, DRAFTER_SERVICE) as server:
        await server.set_health(DRAFTER_SERVICE, serving=False)
        assert (await health_of(server, DRAFTER_SERVICE), await health_of(server, "")) == (NOT_SERVING, SERVING)


async def reflected(server: RunningServer) -> list[str]:
    """Services that reflection lists."""
    async with open_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        responses = [response async for response in stub.ServerReflectionInfo(requests)]
    return [service.name for service in responses[0].list_services_response.service]


async def test_reflection_lists_the_services() -> None:
    """Ours, health and reflection itself."""
    async with running_server(ScriptedDrafter().register, DRAFTER_SERVICE) as server:
        names = await reflected(server)
    assert {DRAFTER_SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} == set(names)


async def test_reflection_can_be_switched_off() -> None:
    """Without it the service does not exist."""
    config = ServerConfig(reflection=False, drain_grace_s=0.0)
    async with running_server(ScriptedDrafter().register, DRAFTER_SERVICE, config=config) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflected(server)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_drain_lets_open_calls_finish() -> None:
    """Health says NOT_SERVING when the callback runs; the open call gets its last message, then the server is gone."""
    held = Held()
    seen: list[int] = []
    running: list[RunningServer] = []

    async def on_drain() -> None:
        seen.append(await health_of(running[0], ""))
        held.release.set()

    async with running_server(toy_service(UnaryStream=held.answer), config=PATIENT, on_drain=on_drain) as server:
        running.append(server)
        async with open_channel(server.address) as channel:
            answers = ToyClient(channel).unary_stream(TokenIds())
            first = await answers.read()
            await server.drain()
            second, end = await answers.read(), await answers.read()
    assert (seen[0], ids_of(first), ids_of(second), end) == (NOT_SERVING, [1], [2], grpc.aio.EOF)


async def test_a_drain_refuses_new_calls() -> None:
    """While an open call holds the drain, a new one is UNAVAILABLE, or CANCELLED if it met the goodbye on its way."""
    held = Held()
    handlers = toy_service(UnaryUnary=echo, UnaryStream=held.answer)
    async with running_server(handlers, config=PATIENT) as server, open_channel(server.address) as channel:
        client = ToyClient(channel)
        answers = client.unary_stream(TokenIds())
        await answers.read()
        draining = asyncio.create_task(server.drain())
        with pytest.raises((UnavailableError, CancelledByPeerError)), translated_errors("peer"):
            await call_for_ever(client)
        held.release.set()
        await draining


async def test_a_drain_waits_for_an_open_call() -> None:
    """Without a release the drain does not end; with it the call gets its last message."""
    held = Held()
    async with (
        running_server(toy_service(UnaryStream=held.answer), config=PATIENT) as server,
        open_channel(server.address) as channel,
    ):
        answers = ToyClient(channel).unary_stream(TokenIds())
        await answers.read()
        draining = asyncio.create_task(server.drain())
        _, pending = await asyncio.wait([draining], timeout=0.3)
        held.release.set()
        last = await answers.read()
        await draining
    assert (pending, ids_of(last)) == ({draining}, [2])


async def test_a_drain_ends_calls_that_outlast_its_grace() -> None:
    """They are cut off UNAVAILABLE."""
    held = Held()
    async with (
        running_server(toy_service(UnaryStream=held.answer), config=PATIENT) as server,
        open_channel(server.address) as channel,
    ):
        answers = ToyClient(channel).unary_stream(TokenIds())
        await answers.read()
        await server.drain(grace_s=0.05)
        with pytest.raises(UnavailableError), translated_errors("peer"):
            await answers.read()


async def test_a_drain_does_not_wait_for_calls_that_only_look() -> None:
    """An open health Watch does not hold the drain for its grace of a minute."""
    async with running_server(toy_service(), config=PATIENT) as server, open_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        async with asyncio.timeout(10):
            await server.drain()


async def test_a_drain_outlasts_a_callback_that_fails() -> None:
    """The server stops all the same."""

    async def on_drain() -> None:
        raise ValueError("hand-over failed")

    async with running_server(toy_service(), config=PATIENT, on_drain=on_drain) as server:
        await server.drain()
        with pytest.raises(UnavailableError), translated_errors("peer"):
            await health_of(server, "")


async def test_a_second_drain_joins_the_first() -> None:
    """The callback runs once."""
    calls: list[int] = []

    async def on_drain() -> None:
        calls.append(1)

    async with running_server(toy_service(), config=PATIENT, on_drain=on_drain) as server:
        await asyncio.gather(server.drain(), server.drain())
    assert calls == [1]


async def test_cancelling_the_owner_drains() -> None:
    """A task that is cancelled inside serve() still hands over before it ends."""
    started, drained = asyncio.Event(), asyncio.Event()

    async def on_drain() -> None:
        drained.set()

    async def own() -> None:
        async with running_server(toy_service(), config=PATIENT, on_drain=on_drain):
            started.set()
            await asyncio.Event().wait()

    owner = asyncio.create_task(own())
    await started.wait()
    owner.cancel()
    with suppress(asyncio.CancelledError):
        await owner
    assert (drained.is_set(), owner.cancelled()) == (True, True)


async def test_a_second_cancellation_aborts() -> None:
    """The owner need not wait for a grace of a minute."""
    held, started = Held(), asyncio.Event()
    address: list[str] = []

    async def own() -> None:
        async with running_server(toy_service(UnaryStream=held.answer), config=PATIENT) as server:
            address.append(server.address)
            started.set()
            await asyncio.Event().wait()

    owner = asyncio.create_task(own())
    await started.wait()
    async with open_channel(address[0]) as channel:
        answers = ToyClient(channel).unary_stream(TokenIds())
        await answers.read()
        owner.cancel()
        await asyncio.sleep(0)
        owner.cancel()
        with pytest.raises(UnavailableError), translated_errors("peer"):
            await answers.read()
    await asyncio.wait([owner])
    assert owner.cancelled()


async def test_a_burst_of_calls_is_served() -> None:
    """2000 calls at once on one channel all succeed (gRPC's own default starts to refuse at 1000)."""
    async with running_server(toy_service(UnaryUnary=echo)) as server, open_channel(server.address) as channel:
        client = ToyClient(channel)
        answers = await asyncio.gather(*(client.unary_unary(TokenIds(ids=[n])) for n in range(2000)))
    assert list(range(2000)) == [answer.ids[0] for answer in answers]


async def test_an_open_stream_counts_as_an_open_call() -> None:
    """open_calls is 1 while a stream is open, and Watch streams do not count."""
    held = Held()
    async with running_server(toy_service(UnaryStream=held.answer)) as server, open_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        answers = ToyClient(channel).unary_stream(TokenIds())
        await answers.read()
        assert server.open_calls == 1


async def test_a_channel_needs_a_running_loop() -> None:
    """Made in a thread without a loop, it would belong to none."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        await asyncio.to_thread(open_channel, "127.0.0.1:1")


async def test_a_generator_service_is_drained_too() -> None:
    """A drain with grace 0 ends a generator-style stream UNAVAILABLE."""

    async def count(request: TokenIds, context: Context) -> AsyncIterator[TokenIds]:
        yield TokenIds(ids=[1])
        await asyncio.Event().wait()

    async with running_server(toy_service(UnaryStream=count)) as server, open_channel(server.address) as channel:
        answers = ToyClient(channel).unary_stream(TokenIds())
        await answers.read()
        await server.drain(0.0)
        with pytest.raises(UnavailableError), translated_errors("peer"):
            await answers.read()
    assert server.address.startswith("127.0.0.1:")
