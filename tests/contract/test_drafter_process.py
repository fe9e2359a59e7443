"""A drafter as a process of its own: what it imports, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from draftmesh.transport.peers import GrpcDrafter
from tests.helpers.fakes_drafter import draft_open, until_paused

_PROGRAM = """
import asyncio, sys
from draftmesh.drafter.app import run
from draftmesh.drafter.config import DrafterConfig
asyncio.run(run(DrafterConfig(kind="ngram", listen="127.0.0.1:0", drain_grace_s=5.0)))
print("torch imported" if "torch" in sys.modules else "no torch")
"""


@asynccontextmanager
async def process() -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A drafter process and its address, which its log tells."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        line = b""
        while b"serving" not in line:
            line = await child.stdout.readline()
            assert line, "the drafter ended before it served"
        yield child, line.decode().rpartition("address=")[2].split()[0]
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def stop(child: asyncio.subprocess.Process, drafter: GrpcDrafter) -> None:
    """Send SIGTERM, and return when the drafter says that it drains."""
    loads = aiter(drafter.watch())
    await anext(loads)
    child.send_signal(signal.SIGTERM)
    while not (await anext(loads)).draining:
        pass


async def test_sigterm_drains_and_ends() -> None:
    """On SIGTERM a session hears of the end, may finish, and the process ends in good order; torch was never needed."""
    async with process() as (child, address), GrpcDrafter(address) as drafter:
        async with drafter.open(draft_open(b"one two, one two")) as stream:
            await until_paused(stream)
            await stop(child, drafter)
        output, _ = await child.communicate()
    assert (child.returncode, output.split(b"\n")[-2]) == (0, b"no torch")


async def test_second_signal_stops_at_once() -> None:
    """A second signal does not wait for open sessions, and is no error that a traceback would have to explain."""
    async with (
        process() as (child, address),
        GrpcDrafter(address) as drafter,
        drafter.open(draft_open(b"one two, one two")) as stream,
    ):
        await until_paused(stream)
        await stop(child, drafter)
        child.send_signal(signal.SIGTERM)
        _, errors = await child.communicate()
    assert (child.returncode, errors) == (128 + signal.SIGTERM, b"")
