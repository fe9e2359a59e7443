"""The asyncio client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import grpc

from draftmesh.client.messages import pool_member_from_proto, session_from_proto
from draftmesh.client.options import GenerateOptions, Prompt
from draftmesh.client.reader import StreamReader
from draftmesh.client.results import Chunk, Generation, PoolMember, Session
from draftmesh.core.errors import StateError
from draftmesh.transport.channels import open_channel
from draftmesh.transport.config import ChannelConfig
from draftmesh.transport.status import translated_errors
from draftmesh.v1 import coordinator_pb2, coordinator_pb2_grpc

_Call = grpc.aio.UnaryStreamCall[coordinator_pb2.GenerateRequest, coordinator_pb2.GenerateResponse]


class AsyncGenerationStream:
    """A generation: enter its context to start it, iterate over its chunks, then ask for :attr:`result`.

    Leaving the context before the end cancels it, and frees drafter, verifier and KV at once.
    """

    def __init__(self, start: Callable[[], _Call], address: str) -> None:
        self._start = start
        self._address = address
        self._call: _Call | None = None
        self._reader = StreamReader()

    async def __aenter__(self) -> Self:
        self._call = self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        if self._call is None:
            raise StateError("enter the stream's context first: async with client.stream(...) as stream")
        with translated_errors(self._address):
            async for message in self._call:
                if (chunk := self._reader.read(message)) is not None:
                    yield chunk
        self._reader.end()

    @property
    def session_id(self) -> str:
        """The session's id; empty before the first message has been read."""
        return self._reader.session_id

    @property
    def result(self) -> Generation:
        """The finished generation; raises StateError before the stream has been read to its end."""
        return self._reader.result

    def cancel(self) -> None:
        """End the generation now. Harmless when it has finished."""
        if self._call is not None:
            self._call.cancel()


class AsyncClient:
    """A connection to a coordinator. Every method raises a DraftmeshError of the tree in ``draftmesh.core.errors``."""

    def __init__(self, address: str, *, timeout_s: float = 10.0, channel: ChannelConfig | None = None) -> None:
        """Connect lazily to ``address`` (host:port); ``timeout_s`` is the deadline of everything but generations."""
        self._address = address
        self._timeout_s = timeout_s
        self._channel_config = channel or ChannelConfig()
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; running generations are cancelled."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    def stream(self, prompt: Prompt, options: GenerateOptions | None = None) -> AsyncGenerationStream:
        """Start a generation and stream it: ``async with client.stream(...) as stream: async for chunk in stream``."""
        options = options or GenerateOptions()
        return self._generation(options.request(prompt), options.timeout_s)

    def resume(self, session_id: str, offset: int = 0, *, timeout_s: float | None = 600.0) -> AsyncGenerationStream:
        """Stream an existing session's text from a byte offset on."""
        resume = coordinator_pb2.Resume(session_id=session_id, offset=offset)
        return self._generation(coordinator_pb2.GenerateRequest(resume=resume), timeout_s)

    async def generate(self, prompt: Prompt, options: GenerateOptions | None = None) -> Generation:
        """Generate and wait for the end."""
        async with self.stream(prompt, options) as stream:
            async for _ in stream:
                pass
            return stream.result

    async def session(self, session_id: str) -> Session:
        """What the coordinator knows of a session."""
        request = coordinator_pb2.GetSessionRequest(session_id=session_id)
        with translated_errors(self._address):
            return session_from_proto(await self._stub().GetSession(request, timeout=self._timeout_s))

    async def cancel(self, session_id: str) -> bool:
        """End a session; False when it had ended before."""
        request = coordinator_pb2.CancelSessionRequest(session_id=session_id)
        with translated_errors(self._address):
            return (await self._stub().CancelSession(request, timeout=self._timeout_s)).cancelled

    async def pools(self) -> tuple[PoolMember, ...]:
        """Drafters and verifiers as the answering shard sees them."""
        with translated_errors(self._address):
            response = await self._stub().ListPools(coordinator_pb2.ListPoolsRequest(), timeout=self._timeout_s)
        return tuple(pool_member_from_proto(member) for member in response.members)

    def _generation(self, request: coordinator_pb2.GenerateRequest, timeout_s: float | None) -> AsyncGenerationStream:
        return AsyncGenerationStream(lambda: self._stub().Generate(request, timeout=timeout_s), self._address)

    def _stub(self) -> coordinator_pb2_grpc.CoordinatorServiceAsyncStub:
        # The channel belongs to the running event loop, so it is made on first use.
        if self._channel is None:
            self._channel = open_channel(self._address, self._channel_config)
        return coordinator_pb2_grpc.CoordinatorServiceStub(self._channel)
