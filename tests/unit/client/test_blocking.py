"""The blocking client against a scripted coordinator whose event loop is another thread's."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from draftmesh.client import Client, GenerateOptions
from draftmesh.core.errors import DeadlineError, ExhaustedError, StateError, UnknownSessionError
from tests.helpers.scripted_coordinator import SESSION_ID, ScriptedCoordinator, endless, fails, serving

THREADS = 4


async def test_a_generation_is_streamed() -> None:
    """Chunks come one by one, and after the last there is a result."""

    def use(address: str) -> tuple[list[bytes], str, str]:
        with Client(address) as client, client.stream("abc") as stream:
            chunks = [chunk.data for chunk in stream]
            return chunks, stream.session_id, stream.result.text

    async with serving(ScriptedCoordinator()) as address:
        assert await asyncio.to_thread(use, address) == ([b"a", b"b", b"c"], SESSION_ID, "abc")


async def test_several_threads_share_a_client() -> None:
    """Each gets its own text, though all use one connection."""
    prompts = [f"prompt {number}" for number in range(4 * THREADS)]

    def use(address: str) -> list[str]:
        with Client(address) as client, ThreadPoolExecutor(THREADS) as pool:
            return [generation.text for generation in pool.map(client.generate, prompts)]

    async with serving(ScriptedCoordinator()) as address:
        assert await asyncio.to_thread(use, address) == prompts


async def test_errors_come_back_as_they_were_raised() -> None:
    """Class, words and hint cross the thread."""

    def use(address: str) -> int | None:
        with Client(address) as client, pytest.raises(ExhaustedError, match="full") as caught:
            client.generate("x")
        return caught.value.retry_after_ms

    async with serving(ScriptedCoordinator(fails(ExhaustedError("full", 5)))) as address:
        assert await asyncio.to_thread(use, address) == 5


async def test_leaving_the_context_cancels_the_call() -> None:
    """The coordinator notices, and there is no result."""
    coordinator = ScriptedCoordinator(endless)

    def use(client: Client) -> None:
        with client.stream("x") as stream:
            next(iter(stream))
        with pytest.raises(StateError):
            _ = stream.result

    async with serving(coordinator) as address:
        with Client(address) as client:
            await asyncio.to_thread(use, client)
            await coordinator.generation_ended.wait()


async def test_a_generation_has_a_deadline() -> None:
    """The blocking client gives up when the time has passed."""

    def use(address: str) -> None:
        with Client(address) as client, pytest.raises(DeadlineError):
            client.generate("x", GenerateOptions(timeout_s=0.2))

    async with serving(ScriptedCoordinator(endless)) as address:
        await asyncio.to_thread(use, address)


async def test_short_calls_pass_through() -> None:
    """Sessions, cancelling and pools are those of the asyncio client."""

    def use(address: str) -> int:
        with Client(address) as client:
            for call in (client.session, client.cancel):
                with pytest.raises(UnknownSessionError):
                    call("s9")
            return len(client.pools())

    async with serving(ScriptedCoordinator()) as address:
        assert await asyncio.to_thread(use, address) == 0


def test_closing_ends_the_thread() -> None:
    """A client leaves no thread behind."""
    before = set(threading.enumerate())
    with Client("127.0.0.1:1"):
        pass
    assert set(threading.enumerate()) <= before
