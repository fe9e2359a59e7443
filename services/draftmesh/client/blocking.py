"""The blocking client: the asyncio client, driven from a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from draftmesh.client.asynchronous import AsyncClient, AsyncGenerationStream
from draftmesh.client.options import GenerateOptions, Prompt
from draftmesh.client.results import Chunk, Generation, PoolMember, Session
from draftmesh.transport.config import ChannelConfig

T = TypeVar("T")


class _LoopThread:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="draftmesh-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine; an exception here, such as KeyboardInterrupt, cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the loop and its thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


class GenerationStream:
    """A generation: enter its context to start it, iterate over its chunks, then ask for :attr:`result`.

    Leaving the context before the end cancels it, and frees drafter, verifier and KV at once.
    """

    def __init__(self, stream: AsyncGenerationStream, loop: _LoopThread) -> None:
        self._stream = stream
        self._loop = loop

    def __enter__(self) -> Self:
        self._loop.run(self._stream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._stream.__aexit__(kind, error, trace))

    def __iter__(self) -> Iterator[Chunk]:
        chunks = aiter(self._stream)
        while (chunk := self._loop.run(_next(chunks))) is not None:
            yield chunk

    @property
    def session_id(self) -> str:
        """The session's id; empty before the first message has been read."""
        return self._stream.session_id

    @property
    def result(self) -> Generation:
        """The finished generation; raises StateError before the stream has been read to its end."""
        return self._stream.result


class Client:
    """A connection to a coordinator. Every method raises a DraftmeshError of the tree in ``draftmesh.core.errors``.

    Safe to use from several threads; must not be carried across a fork.
    """

    def __init__(self, address: str, *, timeout_s: float = 10.0, channel: ChannelConfig | None = None) -> None:
        """Connect lazily to ``address`` (host:port); ``timeout_s`` is the deadline of everything but generations."""
        self._client = AsyncClient(address, timeout_s=timeout_s, channel=channel)
        self._loop = _LoopThread()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; running generations are cancelled."""
        self._loop.run(self._client.close())
        self._loop.close()

    def stream(self, prompt: Prompt, options: GenerateOptions | None = None) -> GenerationStream:
        """A generation to stream: ``with client.stream(...) as stream: for chunk in stream: ...``."""
        return GenerationStream(self._client.stream(prompt, options), self._loop)

    def resume(self, session_id: str, offset: int = 0, *, timeout_s: float | None = 600.0) -> GenerationStream:
        """Stream an existing session's text from a byte offset on."""
        return GenerationStream(self._client.resume(session_id, offset, timeout_s=timeout_s), self._loop)

    def generate(self, prompt: Prompt, options: GenerateOptions | None = None) -> Generation:
        """Generate and wait for the end."""
        return self._loop.run(self._client.generate(prompt, options))

    def session(self, session_id: str) -> Session:
        """What the coordinator knows of a session."""
        return self._loop.run(self._client.session(session_id))

    def cancel(self, session_id: str) -> bool:
        """End a session; False when it had ended before."""
        return self._loop.run(self._client.cancel(session_id))

    def pools(self) -> tuple[PoolMember, ...]:
        """Drafters and verifiers as the answering shard sees them."""
        return self._loop.run(self._client.pools())


async def _next(chunks: AsyncIterator[Chunk]) -> Chunk | None:
    return await anext(chunks, None)
