"""CoordinatorService over gRPC: each call is decoded, handed on, and its answer encoded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc

from draftmesh.coordinator import codec
from draftmesh.coordinator.forwarding import Forwarding, is_forwarded
from draftmesh.coordinator.sessions.ids import shard_of
from draftmesh.coordinator.sessions.reading import Reader, follow, replay
from draftmesh.coordinator.shard import Shard
from draftmesh.coordinator.tasks import any_change
from draftmesh.core.errors import UnknownSessionError
from draftmesh.v1 import coordinator_pb2, coordinator_pb2_grpc

SERVICE_NAME = coordinator_pb2.DESCRIPTOR.services_by_name["CoordinatorService"].full_name

_Context = grpc.aio.ServicerContext[Any, Any]
_Responses = AsyncGenerator[coordinator_pb2.GenerateResponse]


class CoordinatorServicer(coordinator_pb2_grpc.CoordinatorServiceServicer):
    """The RPCs of one shard; errors become statuses in the transport's interceptors."""

    def __init__(self, shard: Shard, forwarding: Forwarding) -> None:
        self._shard = shard
        self._forwarding = forwarding

    def register(self, server: grpc.aio.Server) -> None:
        """Have ``server`` serve these RPCs."""
        coordinator_pb2_grpc.add_CoordinatorServiceServicer_to_server(self, server)

    async def Generate(self, request: coordinator_pb2.GenerateRequest, context: _Context) -> _Responses:
        """A new session's text, or that of one that exists."""
        if request.WhichOneof("prompt") != "resume":
            responses = self._generate(request)
        elif (owner := self._other_owner(request.resume.session_id, context)) is not None:
            responses = self._forwarding.resume(owner, request)
        else:
            responses = self._resume(request.resume)
        async with aclosing(responses):
            async for response in responses:
                yield response

    async def GetSession(
        self, request: coordinator_pb2.GetSessionRequest, context: _Context
    ) -> coordinator_pb2.GetSessionResponse:
        """What is known of a session."""
        owner = self._other_owner(request.session_id, context)
        if owner is not None:
            return await self._forwarding.get_session(owner, request)
        return codec.session_to_proto(await self._shard.record(request.session_id), self._shard.config.shard)

    async def CancelSession(
        self, request: coordinator_pb2.CancelSessionRequest, context: _Context
    ) -> coordinator_pb2.CancelSessionResponse:
        """End a session."""
        owner = self._other_owner(request.session_id, context)
        if owner is not None:
            return await self._forwarding.cancel_session(owner, request)
        return coordinator_pb2.CancelSessionResponse(cancelled=await self._shard.cancel(request.session_id))

    async def ListPools(
        self, request: coordinator_pb2.ListPoolsRequest, context: _Context
    ) -> coordinator_pb2.ListPoolsResponse:
        """The pools' members."""
        del request, context
        return coordinator_pb2.ListPoolsResponse(
            members=self._members(), shard=self._shard.config.shard, shards=self._forwarding.num_shards
        )

    async def WatchPools(
        self, request: coordinator_pb2.WatchPoolsRequest, context: _Context
    ) -> AsyncGenerator[coordinator_pb2.WatchPoolsResponse]:
        """The pools' members, now and whenever they change."""
        del request, context
        pools = self._shard.pools
        while True:
            yield coordinator_pb2.WatchPoolsResponse(members=self._members())
            await any_change(pools.drafters.changed, pools.verifiers.changed)

    async def _generate(self, request: coordinator_pb2.GenerateRequest) -> _Responses:
        wanted = codec.generation_request_from_proto(request, max_prompt_bytes=self._shard.config.max_prompt_bytes)
        async with self._shard.session(wanted) as session:
            yield codec.started_to_proto(session.record)
            async with aclosing(follow(session, Reader(session.record))) as chunks:
                async for chunk in chunks:
                    yield codec.chunk_to_proto(chunk)
            yield codec.finished_to_proto(session.record)

    async def _resume(self, request: coordinator_pb2.Resume) -> _Responses:
        session = self._shard.find_live(request.session_id)
        record = await self._shard.record(request.session_id)
        reader = Reader(record, request.offset)
        yield codec.started_to_proto(record)
        if session is not None:
            async with aclosing(follow(session, reader)) as chunks:
                async for chunk in chunks:
                    yield codec.chunk_to_proto(chunk)
            record = session.record
        else:
            for chunk in replay(record, reader):
                yield codec.chunk_to_proto(chunk)
        yield codec.finished_to_proto(record)

    def _other_owner(self, session_id: str, context: _Context) -> int | None:
        """The other shard that owns the session; None if it is this one.

        Raises:
            UnknownSessionError: nobody does, or another shard believes that this one does.
        """
        owner = shard_of(session_id)
        if owner == self._shard.config.shard:
            return None
        if is_forwarded(context.invocation_metadata()):
            raise UnknownSessionError(f"session of shard {owner} was forwarded to shard {self._shard.config.shard}")
        return owner

    def _members(self) -> list[coordinator_pb2.PoolMember]:
        pools, trusted = self._shard.pools, self._shard.config.trust_drafters
        drafters = [codec.drafter_to_proto(member, trusted=trusted) for member in pools.drafters.members]
        return drafters + [codec.verifier_to_proto(member) for member in pools.verifiers.members]
