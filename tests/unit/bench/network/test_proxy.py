"""The proxy that delays, between real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random

import pytest

from draftmesh.bench.network.proxy import delaying_proxy, relay
from tests.helpers.virtual_time import run_virtual

pytestmark = pytest.mark.timeout(20)

RTT_MS = 30.0
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(handle: Handle) -> AsyncIterator[str]:
    """The address of a server on loopback."""
    server = await asyncio.start_server(handle, host="127.0.0.1", port=0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to it."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say everything back, and end when the other side has."""
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


async def test_an_answer_takes_a_round_trip_and_each_way_half() -> None:
    """By the clock of one process that is both sides."""
    loop, heard_s = asyncio.get_running_loop(), []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        heard_s.append(loop.time())
        await reader.read()
        writer.close()

    async with served(answer) as address, delaying_proxy(address, RTT_MS) as far, connected(far) as (reader, writer):
        sent_s = loop.time()
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        back_s = loop.time()
    assert heard_s[0] - sent_s >= RTT_MS / 2e3
    assert back_s - heard_s[0] >= RTT_MS / 2e3


async def test_bytes_keep_their_order_in_both_directions() -> None:
    """However they are cut into pieces on their way; the end comes last."""
    random = Random(1)
    pieces = [random.randbytes(random.randint(1, 70_000)) for _ in range(60)]
    async with served(echo) as address, delaying_proxy(address, 2.0) as far, connected(far) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        writer.write_eof()
        assert await reader.read() == b"".join(pieces)


@dataclass
class Heard:
    """Keeps what it is told, and when, by its event loop's clock."""

    data: list[tuple[float, bytes]] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.data.append((asyncio.get_running_loop().time(), data))

    def write_eof(self) -> None:
        """Keep that it is over."""
        self.write(b"")

    async def drain(self) -> None:
        """There is always room."""


def test_everything_is_late_by_the_same_time() -> None:
    """What is under way does not hold up what follows: bandwidth is not limited."""

    async def main() -> Heard:
        heard, reader = Heard(), asyncio.StreamReader()
        relaying = asyncio.create_task(relay(reader, heard, 4.0))
        for piece in (b"a", b"b", b"c"):
            reader.feed_data(piece)
            await asyncio.sleep(1.0)
        reader.feed_eof()
        await relaying
        return heard

    assert run_virtual(main()).data == [(4.0, b"a"), (5.0, b"b"), (6.0, b"c"), (7.0, b"")]


async def test_one_side_may_end_before_the_other_has_answered() -> None:
    """The end of one direction leaves the other one open."""

    async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.read()
        writer.write(question[::-1])
        writer.close()

    async with served(answer_late) as address, delaying_proxy(address, 1.0) as far, connected(far) as (reader, writer):
        writer.write(b"abc")
        writer.write_eof()
        assert await reader.read() == b"cba"


async def test_connections_are_apart() -> None:
    """Each has an answer of its own."""
    async with (
        served(echo) as address,
        delaying_proxy(address, 1.0) as far,
        connected(far) as (first_reader, first),
        connected(far) as (second_reader, second),
    ):
        first.write(b"1")
        second.write(b"2")
        assert (await first_reader.readexactly(1), await second_reader.readexactly(1)) == (b"1", b"2")


async def test_closing_ends_every_connection_on_both_sides() -> None:
    """Nothing is left open, though nobody has said goodbye."""
    ended = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"!")
        with suppress(ConnectionError):
            await reader.read()
        ended.set()
        writer.transport.abort()

    async with served(hold) as address:
        async with delaying_proxy(address, 1.0) as far:
            host, _, port = far.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            assert await reader.readexactly(1) == b"!"
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        await ended.wait()
        writer.transport.abort()


async def test_a_connection_to_nobody_ends() -> None:
    """And one that is broken on one side is broken on the other."""

    async def drop(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with served(drop) as gone, delaying_proxy(gone, 1.0) as far, connected(far) as (reader, _):
        assert await _ends(reader)
    async with delaying_proxy(gone, 1.0) as far, connected(far) as (reader, _):
        assert await _ends(reader)


async def _ends(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True
