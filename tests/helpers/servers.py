"""Real gRPC servers on loopback with scripted servicers, for tests of the transport and of whoever calls peers."""

# ruff: noqa: ARG002 (handlers have gRPC's signature, whether they need all of it or not)

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from draftmesh.core.endpoint import DrafterInfo, LoadReport, TokenizerFile, VerifierInfo
from draftmesh.core.sampling import Method
from draftmesh.transport.codec_common import load_to_proto
from draftmesh.transport.codec_draft import drafter_info_to_proto
from draftmesh.transport.codec_tokenizer import tokenizer_chunks
from draftmesh.transport.codec_verify import verifier_info_to_proto
from draftmesh.transport.codec_vocabulary import RegisteredVocabulary, vocabulary_from_proto
from draftmesh.transport.config import ServerConfig
from draftmesh.transport.server import OnDrain, Register, RunningServer, serve
from draftmesh.v1 import common_pb2, drafter_pb2, drafter_pb2_grpc, verifier_pb2, verifier_pb2_grpc

DRAFTER_SERVICE = "draftmesh.v1.DrafterService"
VERIFIER_SERVICE = "draftmesh.v1.VerifierService"
TOY_SERVICE = "draftmesh.toy.Toy"

Context = grpc.aio.ServicerContext[Any, Any]
Script = Callable[[Context], Awaitable[None]]
"""Plays the peer's part of a session: reads and writes protobuf messages on the context."""

DRAFTER_INFO = DrafterInfo(
    name="toy",
    digest=b"drafter",
    vocabulary_digest=b"vocabulary",
    methods=(Method.EXACT,),
    max_context_tokens=2048,
    max_ahead_tokens=8,
    max_sessions=4,
    parameters=7,
    tokenizer_family="byte-level-bpe",
)
VERIFIER_INFO = VerifierInfo(
    model="toy",
    target_digest=b"target",
    vocabulary_digest=b"vocabulary",
    tokenizer_digest=b"tokenizer",
    methods=(Method.EXACT, Method.OFF),
    max_context_tokens=2048,
    max_draft_tokens=16,
    max_sessions=4,
    parameters=7,
)


@asynccontextmanager
async def running_server(
    register: Register, *services: str, config: ServerConfig | None = None, on_drain: OnDrain | None = None
) -> AsyncIterator[RunningServer]:
    """Serve on a free loopback port; the end does not wait for open calls unless ``config`` says so."""
    config = config or ServerConfig(drain_grace_s=0.0)
    async with serve(config, register, services, on_drain=on_drain) as server:
        yield server


async def silent(context: Context) -> None:
    """A session script that reads to the end and says nothing."""
    while await context.read() is not grpc.aio.EOF:
        pass


class ScriptedDrafter(drafter_pb2_grpc.DrafterServiceServicer):
    """A drafter that plays a script on each session, in reader/writer style."""

    def __init__(
        self,
        script: Script = silent,
        *,
        loads: Sequence[LoadReport] = (),
        files: Sequence[TokenizerFile] = (),
    ) -> None:
        """Play ``script`` on each session; report ``loads``, then end the Watch stream; serve ``files``."""
        self._script = script
        self._loads = loads
        self._files = files
        self.session_ended = asyncio.Event()
        self.metadata: dict[str, str | bytes] = {}
        self.vocabulary: RegisteredVocabulary | None = None

    def register(self, server: grpc.aio.Server) -> None:
        """Add it to a server."""
        drafter_pb2_grpc.add_DrafterServiceServicer_to_server(self, server)

    async def Draft(self, request_iterator: object, context: Context) -> None:  # type: ignore[override]
        """One session."""
        self.metadata = dict(context.invocation_metadata() or ())
        try:
            await self._script(context)
        finally:
            self.session_ended.set()

    async def RegisterVocabulary(
        self,
        request: drafter_pb2.RegisterVocabularyRequest,
        context: Context,
    ) -> drafter_pb2.RegisterVocabularyResponse:
        """Keep it."""
        self.vocabulary = vocabulary_from_proto(request)
        return drafter_pb2.RegisterVocabularyResponse(shared_tokens=len(self.vocabulary))

    async def GetDrafterInfo(
        self,
        request: drafter_pb2.GetDrafterInfoRequest,
        context: Context,
    ) -> drafter_pb2.GetDrafterInfoResponse:
        """The toy's."""
        return drafter_info_to_proto(DRAFTER_INFO)

    async def GetDrafterTokenizer(
        self,
        request: drafter_pb2.GetDrafterTokenizerRequest,
        context: Context,
    ) -> AsyncIterator[drafter_pb2.GetDrafterTokenizerResponse]:
        """The files, in small pieces."""
        for chunk in tokenizer_chunks(self._files, chunk_bytes=5):
            yield drafter_pb2.GetDrafterTokenizerResponse(chunk=chunk)

    async def WatchDrafter(
        self,
        request: drafter_pb2.WatchDrafterRequest,
        context: Context,
    ) -> AsyncIterator[drafter_pb2.WatchDrafterResponse]:
        """The loads."""
        for load in self._loads:
            yield drafter_pb2.WatchDrafterResponse(load=load_to_proto(load))


class ScriptedVerifier(verifier_pb2_grpc.VerifierServiceServicer):
    """A verifier that plays a script on each session, in reader/writer style."""

    def __init__(
        self,
        script: Script = silent,
        *,
        loads: Sequence[LoadReport] = (),
        files: Sequence[TokenizerFile] = (),
    ) -> None:
        """Play ``script`` on each session; report ``loads``, then end the Watch stream; serve ``files``."""
        self._script = script
        self._loads = loads
        self._files = files
        self.session_ended = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> None:
        """Add it to a server."""
        verifier_pb2_grpc.add_VerifierServiceServicer_to_server(self, server)

    async def Verify(self, request_iterator: object, context: Context) -> None:  # type: ignore[override]
        """One session."""
        try:
            await self._script(context)
        finally:
            self.session_ended.set()

    async def GetVerifierInfo(
        self,
        request: verifier_pb2.GetVerifierInfoRequest,
        context: Context,
    ) -> verifier_pb2.GetVerifierInfoResponse:
        """The toy's."""
        return verifier_info_to_proto(VERIFIER_INFO)

    async def GetVerifierTokenizer(
        self,
        request: verifier_pb2.GetVerifierTokenizerRequest,
        context: Context,
    ) -> AsyncIterator[verifier_pb2.GetVerifierTokenizerResponse]:
        """The files, in small pieces."""
        for chunk in tokenizer_chunks(self._files, chunk_bytes=5):
            yield verifier_pb2.GetVerifierTokenizerResponse(chunk=chunk)

    async def WatchVerifier(
        self,
        request: verifier_pb2.WatchVerifierRequest,
        context: Context,
    ) -> AsyncIterator[verifier_pb2.WatchVerifierResponse]:
        """The loads."""
        for load in self._loads:
            yield verifier_pb2.WatchVerifierResponse(load=load_to_proto(load))


_HANDLERS = {
    "UnaryUnary": grpc.unary_unary_rpc_method_handler,
    "UnaryStream": grpc.unary_stream_rpc_method_handler,
    "StreamUnary": grpc.stream_unary_rpc_method_handler,
    "StreamStream": grpc.stream_stream_rpc_method_handler,
}


def toy_service(**behaviours: Callable[..., Any]) -> Register:
    """A service of the methods UnaryUnary, UnaryStream, StreamUnary, StreamStream, all of TokenIds messages."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        name: _HANDLERS[name](behaviour, common_pb2.TokenIds.FromString, common_pb2.TokenIds.SerializeToString)
        for name, behaviour in behaviours.items()
    }

    def register(server: grpc.aio.Server) -> None:
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(TOY_SERVICE, handlers)])

    return register


class ToyClient:
    """Calls of the toy service on one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Call over ``channel``."""
        self.channel = channel
        codec = (common_pb2.TokenIds.SerializeToString, common_pb2.TokenIds.FromString)
        self.unary_unary = channel.unary_unary(f"/{TOY_SERVICE}/UnaryUnary", *codec)
        self.unary_stream = channel.unary_stream(f"/{TOY_SERVICE}/UnaryStream", *codec)
        self.stream_unary = channel.stream_unary(f"/{TOY_SERVICE}/StreamUnary", *codec)
        self.stream_stream = channel.stream_stream(f"/{TOY_SERVICE}/StreamStream", *codec)
