"""A CoordinatorService on loopback that says what a test tells it to: the other side of the client's tests."""

# ruff: noqa: ARG001, ARG002 (handlers and scripts have one signature, whether they need all of it or not)

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

import grpc

from draftmesh.core.errors import DraftmeshError, UnknownSessionError
from draftmesh.v1 import common_pb2, coordinator_pb2, coordinator_pb2_grpc
from tests.helpers.servers import Context, running_server

SERVICE = "draftmesh.v1.CoordinatorService"
SESSION_ID = "s0-" + "1" * 32

Response = coordinator_pb2.GenerateResponse
Script = Callable[[coordinator_pb2.GenerateRequest], AsyncGenerator[Response]]
"""Plays one Generate call: the messages to send; what it raises ends the call."""


def started(session_id: str = SESSION_ID) -> Response:
    """The first message of a stream."""
    message = coordinator_pb2.GenerationStarted(
        session_id=session_id, model="toy", method=common_pb2.METHOD_EXACT, prompt_tokens=3
    )
    return Response(started=message)


def chunk(text: bytes, offset: int = 0, tokens: Sequence[coordinator_pb2.TokenSpan] = ()) -> Response:
    """Text."""
    return Response(chunk=coordinator_pb2.GenerationChunk(offset=offset, text=text, tokens=tokens))


def finished(completion_tokens: int = 1) -> Response:
    """The last message of a stream."""
    message = coordinator_pb2.GenerationFinished(
        finish_reason=common_pb2.FINISH_REASON_LENGTH,
        prompt_tokens=3,
        completion_tokens=completion_tokens,
        ledger=coordinator_pb2.Ledger(rounds=2, drafted_tokens=4, accepted_tokens=3),
    )
    return Response(finished=message)


async def echo(request: coordinator_pb2.GenerateRequest) -> AsyncGenerator[Response]:
    """Says the prompt again, a byte a chunk."""
    yield started()
    for offset, byte in enumerate(request.text):
        yield chunk(bytes([byte]), offset)
    yield finished(len(request.text))


async def endless(request: coordinator_pb2.GenerateRequest) -> AsyncGenerator[Response]:
    """One chunk, and then nothing more for ever."""
    yield started()
    yield chunk(b"a")
    await asyncio.Event().wait()


def says(*responses: Response) -> Script:
    """These messages, and then the stream's end."""

    async def script(request: coordinator_pb2.GenerateRequest) -> AsyncGenerator[Response]:
        for response in responses:
            yield response

    return script


def fails(error: DraftmeshError, *responses: Response) -> Script:
    """These messages, and then this error."""

    async def script(request: coordinator_pb2.GenerateRequest) -> AsyncGenerator[Response]:
        for response in responses:
            yield response
        raise error

    return script


class ScriptedCoordinator(coordinator_pb2_grpc.CoordinatorServiceServicer):
    """A coordinator that plays a script on each generation."""

    def __init__(
        self,
        script: Script = echo,
        *,
        session: coordinator_pb2.GetSessionResponse | None = None,
        members: Sequence[coordinator_pb2.PoolMember] = (),
    ) -> None:
        """Know one ``session``, and have these pool ``members``."""
        self._script = script
        self._session = session
        self._members = members
        self.requests: list[coordinator_pb2.GenerateRequest] = []
        self.generation_ended = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> None:
        """Add it to a server."""
        coordinator_pb2_grpc.add_CoordinatorServiceServicer_to_server(self, server)

    async def Generate(
        self, request: coordinator_pb2.GenerateRequest, context: Context
    ) -> AsyncGenerator[coordinator_pb2.GenerateResponse]:
        """Play the script; notes the request, and when it is over."""
        self.requests.append(request)
        try:
            async with aclosing(self._script(request)) as responses:
                async for response in responses:
                    yield response
        finally:
            self.generation_ended.set()

    async def GetSession(
        self, request: coordinator_pb2.GetSessionRequest, context: Context
    ) -> coordinator_pb2.GetSessionResponse:
        """The session, if it is the one."""
        return self._known(request.session_id)

    async def CancelSession(
        self, request: coordinator_pb2.CancelSessionRequest, context: Context
    ) -> coordinator_pb2.CancelSessionResponse:
        """Cancelled, unless it has ended."""
        ended = bool(self._known(request.session_id).finish_reason)
        return coordinator_pb2.CancelSessionResponse(cancelled=not ended)

    async def ListPools(
        self, request: coordinator_pb2.ListPoolsRequest, context: Context
    ) -> coordinator_pb2.ListPoolsResponse:
        """The members."""
        return coordinator_pb2.ListPoolsResponse(members=self._members)

    async def WatchPools(
        self, request: coordinator_pb2.WatchPoolsRequest, context: Context
    ) -> AsyncGenerator[coordinator_pb2.WatchPoolsResponse]:
        """The members, once."""
        yield coordinator_pb2.WatchPoolsResponse(members=self._members)

    def _known(self, session_id: str) -> coordinator_pb2.GetSessionResponse:
        if self._session is None or self._session.session_id != session_id:
            raise UnknownSessionError(f"no session {session_id}")
        return self._session


@asynccontextmanager
async def serving(coordinator: ScriptedCoordinator) -> AsyncIterator[str]:
    """Serve it; yields the address."""
    async with running_server(coordinator.register, SERVICE) as server:
        yield server.address
