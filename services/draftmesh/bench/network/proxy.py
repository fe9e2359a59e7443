"""A TCP proxy on loopback that delays: a network's round trip between two daemons of one machine.

What comes in on one side goes out on the other half a round trip later, in order, in both directions. Bandwidth is not
limited, and nothing is lost. The handshake of a connection is not delayed: daemons keep their connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

_CHUNK_BYTES = 1 << 16
_END = b""


@asynccontextmanager
async def delaying_proxy(address: str, rtt_ms: float) -> AsyncIterator[str]:
    """Yield host:port at which ``address`` (host:port) is reached with a round trip of ``rtt_ms`` added.

    Leaving the context closes every connection; what is under way is lost then.
    """
    connections = _Connections(address, rtt_ms / 2e3)
    server = await asyncio.start_server(connections.serve, host="127.0.0.1", port=0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        server.close()
        await connections.close()
        await server.wait_closed()


class _Connections:
    """The open connections of one proxy."""

    def __init__(self, address: str, delay_s: float) -> None:
        self._host, _, self._port = address.rpartition(":")
        self._delay_s = delay_s
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, near_reader: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        """One connection, until both sides have ended it or one has broken it."""
        task = asyncio.current_task()
        assert task is not None, "asyncio runs this in a task"
        self._tasks.add(task)
        try:
            await self._bridge(near_reader, near_writer)
        except asyncio.CancelledError:
            pass  # by close(); the stream server has no use for it
        finally:
            self._tasks.discard(task)
            near_writer.transport.abort()

    async def close(self) -> None:
        """End all of them now."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _bridge(self, near_reader: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, int(self._port))
        except OSError:
            return  # nobody there: who connected to the proxy learns it by the end of the connection
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(relay(near_reader, far_writer, self._delay_s))
                group.create_task(relay(far_reader, near_writer, self._delay_s))
        except* OSError:
            pass  # one side has broken the connection, so both are broken
        finally:
            far_writer.transport.abort()


class Sink(Protocol):
    """Where bytes go; ``asyncio.StreamWriter`` is one."""

    def write(self, data: bytes) -> None:
        """Take bytes."""

    def write_eof(self) -> None:
        """Nothing follows."""

    async def drain(self) -> None:
        """Return when there is room for more."""


async def relay(reader: asyncio.StreamReader, writer: Sink, delay_s: float) -> None:
    """Pass one direction on, to its end, everything ``delay_s`` after it came."""
    in_flight: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(_take(reader, in_flight, delay_s))
        group.create_task(_give(writer, in_flight))


async def _take(reader: asyncio.StreamReader, in_flight: asyncio.Queue[tuple[float, bytes]], delay_s: float) -> None:
    """Note with everything that comes in, and with the end, when it is due; unbounded, so that nothing waits here."""
    loop = asyncio.get_running_loop()
    data = None
    while data != _END:
        data = await reader.read(_CHUNK_BYTES)
        in_flight.put_nowait((loop.time() + delay_s, data))


async def _give(writer: Sink, in_flight: asyncio.Queue[tuple[float, bytes]]) -> None:
    """Send everything on when it is due."""
    loop = asyncio.get_running_loop()
    while True:
        due_s, data = await in_flight.get()
        if (early_s := due_s - loop.time()) > 0:
            await asyncio.sleep(early_s)
        if data == _END:
            writer.write_eof()
            return
        writer.write(data)
        await writer.drain()
