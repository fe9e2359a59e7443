"""Requests about a session that another shard owns are passed on to that shard, once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack

from draftmesh.core.errors import UnavailableError, UnknownSessionError
from draftmesh.telemetry.tracing import trace_metadata
from draftmesh.transport.channels import open_channel
from draftmesh.transport.config import Timeouts
from draftmesh.transport.status import translated_errors
from draftmesh.v1 import coordinator_pb2, coordinator_pb2_grpc

FORWARDED = "draftmesh-forwarded"
"""Metadata key of a forwarded request: it is not forwarded again."""


class Forwarding:
    """Connections to the other shards, made when first used. Lives in one event loop."""

    def __init__(self, addresses: Sequence[str], timeouts: Timeouts) -> None:
        """``addresses`` are those of all shards by number, empty while one is down."""
        self._addresses = tuple(addresses)
        self._timeouts = timeouts
        self._stubs: dict[str, coordinator_pb2_grpc.CoordinatorServiceAsyncStub] = {}
        self._channels = AsyncExitStack()

    @property
    def num_shards(self) -> int:
        """Shards in all."""
        return max(1, len(self._addresses))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._channels.aclose()

    def set_addresses(self, addresses: Sequence[str]) -> None:
        """The shards are there from now on."""
        self._addresses = tuple(addresses)

    async def get_session(
        self, owner: int, request: coordinator_pb2.GetSessionRequest
    ) -> coordinator_pb2.GetSessionResponse:
        """``GetSession`` at the session's owner."""
        stub = await self._stub(owner)
        with translated_errors(f"shard {owner}"):
            return await stub.GetSession(request, timeout=self._timeouts.unary_s, metadata=_metadata())

    async def cancel_session(
        self, owner: int, request: coordinator_pb2.CancelSessionRequest
    ) -> coordinator_pb2.CancelSessionResponse:
        """``CancelSession`` at the session's owner."""
        stub = await self._stub(owner)
        with translated_errors(f"shard {owner}"):
            return await stub.CancelSession(request, timeout=self._timeouts.unary_s, metadata=_metadata())

    async def resume(
        self, owner: int, request: coordinator_pb2.GenerateRequest
    ) -> AsyncGenerator[coordinator_pb2.GenerateResponse]:
        """``Generate`` with ``resume`` at the session's owner."""
        stub = await self._stub(owner)
        call = stub.Generate(request, timeout=self._timeouts.session_s, metadata=_metadata())
        try:
            with translated_errors(f"shard {owner}"):
                async for response in call:
                    yield response
        finally:
            call.cancel()

    async def _stub(self, owner: int) -> coordinator_pb2_grpc.CoordinatorServiceAsyncStub:
        if owner >= len(self._addresses):
            raise UnknownSessionError(f"there is no shard {owner}, which would own this session")
        address = self._addresses[owner]
        if not address:
            raise UnavailableError(f"shard {owner}, which owns this session, is down")
        if address not in self._stubs:
            channel = await self._channels.enter_async_context(open_channel(address))
            self._stubs[address] = coordinator_pb2_grpc.CoordinatorServiceStub(channel)
        return self._stubs[address]


def is_forwarded(metadata: Iterable[tuple[str, str | bytes]] | None) -> bool:
    """Whether another shard sent this request."""
    return any(key == FORWARDED for key, _ in metadata or ())


def _metadata() -> tuple[tuple[str, str], ...]:
    return (*trace_metadata(), (FORWARDED, "1"))
