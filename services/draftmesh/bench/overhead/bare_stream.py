"""What a message takes there and back over a bare gRPC stream: no round's overhead can be less on this machine.

The other side hands each message to a thread, which pauses for as long as a forward of the target takes, and answers.
So two processes meet on one stream, and their threads fall asleep between messages, as a coordinator's and a
verifier's do; but nothing is encoded, decided, judged or kept.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import grpc

from draftmesh.bench.child import child_process, until_readable
from draftmesh.bench.spread import Percentiles
from draftmesh.core.errors import UnavailableError
from draftmesh.transport import event_loop

_SERVICE, _METHOD = "draftmesh.bench.BareStream", "Pause"
_MESSAGE_BYTES = 200
"""About what a round with a draft has."""

_UNCOUNTED = 20
"""Messages at first, while caches and clocks get going."""

_TIMEOUT_S = 120.0
_MS = struct.Struct("d")
"""An answer: the pause in milliseconds, as measured."""


async def bare_round_ms(pause_ms: float, messages: int = 200) -> Percentiles:
    """Milliseconds there and back less the pause between.

    Raises:
        UnavailableError: one of the two processes ended, or said nothing for two minutes.
    """
    async with child_process("bare-stream-server", _serve, pause_ms / 1e3) as server:
        port = await server.receive(_TIMEOUT_S)
        async with child_process("bare-stream-client", _ask, str(port), messages) as client:
            measured = await client.receive(_TIMEOUT_S)
    if not isinstance(measured, list):
        raise UnavailableError("the bare stream was not measured")
    return Percentiles.of(measured)


def _serve(pipe: Connection, pause_s: float) -> None:
    event_loop.run(_serve_until_closed(pipe, pause_s))


async def _serve_until_closed(pipe: Connection, pause_s: float) -> None:
    loop = asyncio.get_running_loop()

    async def answer(requests: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        async for _request in requests:
            yield _MS.pack(await loop.run_in_executor(thread, _pause_ms, pause_s))

    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {_METHOD: grpc.stream_stream_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    with ThreadPoolExecutor(1) as thread:
        await server.start()
        pipe.send(port)
        await until_readable(pipe)
        await server.stop(None)


def _pause_ms(pause_s: float) -> float:
    started_s = time.perf_counter()
    time.sleep(pause_s)
    return (time.perf_counter() - started_s) * 1e3


def _ask(pipe: Connection, port: str, messages: int) -> None:
    pipe.send(event_loop.run(_round_trips_ms(port, messages)))


async def _round_trips_ms(port: str, messages: int) -> list[float]:
    """Of each message that counts, less the pause."""
    message, rounds_ms = bytes(_MESSAGE_BYTES), []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"/{_SERVICE}/{_METHOD}")
        call = method(timeout=_TIMEOUT_S)
        for _ in range(_UNCOUNTED + messages):
            started_s = time.perf_counter()
            await call.write(message)
            answer = await call.read()
            assert isinstance(answer, bytes), "the server answers every message"
            (pause_ms,) = _MS.unpack(answer)
            rounds_ms.append((time.perf_counter() - started_s) * 1e3 - pause_ms)
        await call.done_writing()
    return rounds_ms[_UNCOUNTED:]
