"""Drafters and verifiers over gRPC: ``core.protocols.Drafter`` and ``Verifier`` for those who only know core values."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Protocol, Self, TypeVar

from draftmesh.core.draft import Block, Commit, DraftOpen, Evaluate, Evaluated
from draftmesh.core.endpoint import DrafterInfo, LoadReport, TokenizerFile, VerifierInfo
from draftmesh.core.errors import InternalError
from draftmesh.core.protocols import WholeVocabulary
from draftmesh.core.verify import PsiQuery, PsiReply, Verdict, VerifyOpen, VerifyRound
from draftmesh.telemetry.tracing import trace_metadata
from draftmesh.transport import codec_draft, codec_verify
from draftmesh.transport.channels import open_channel
from draftmesh.transport.codec_common import load_from_proto
from draftmesh.transport.codec_tokenizer import TokenizerAssembler
from draftmesh.transport.codec_vocabulary import vocabulary_to_proto
from draftmesh.transport.config import ChannelConfig, Timeouts
from draftmesh.transport.session_stream import SessionStream
from draftmesh.transport.status import translated_errors
from draftmesh.transport.streams import call_stream
from draftmesh.v1 import drafter_pb2, drafter_pb2_grpc, verifier_pb2, verifier_pb2_grpc

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


_DraftSession = SessionStream[
    drafter_pb2.DraftRequest,
    drafter_pb2.DraftResponse,
    codec_draft.DraftRequestMessage,
    codec_draft.DraftOpened | Block | Evaluated,
]
_VerifySession = SessionStream[
    verifier_pb2.VerifyRequest,
    verifier_pb2.VerifyResponse,
    codec_verify.VerifyRequestMessage,
    codec_verify.VerifyOpened | Verdict | PsiQuery,
]

_HasChunk = drafter_pb2.GetDrafterTokenizerResponse | verifier_pb2.GetVerifierTokenizerResponse
_HasLoad = drafter_pb2.WatchDrafterResponse | verifier_pb2.WatchVerifierResponse


class _ServerStream(Protocol[T_co]):
    """A call that answers with a stream."""

    def __aiter__(self) -> AsyncIterator[T_co]: ...

    def cancel(self) -> bool: ...


class _Peer:
    """A connection to one drafter or verifier. Make it inside the event loop that uses it, and close it there."""

    def __init__(self, address: str, timeouts: Timeouts | None = None, channel: ChannelConfig | None = None) -> None:
        """Connect to ``host:port`` when first used."""
        self.address = address
        self._timeouts = timeouts or Timeouts()
        self._channel = open_channel(address, channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection, and with it every stream."""
        await self._channel.close()

    @property
    def _name(self) -> str:
        return f"peer {self.address}"

    async def _answer(self, call: Awaitable[T]) -> T:
        with translated_errors(self._name):
            return await call

    async def _answers(self, call: _ServerStream[T]) -> AsyncGenerator[T]:
        try:
            with translated_errors(self._name):
                async for message in call:
                    yield message
        finally:
            call.cancel()

    async def _files(self, call: _ServerStream[_HasChunk]) -> tuple[TokenizerFile, ...]:
        assembler = TokenizerAssembler()
        async with aclosing(self._answers(call)) as responses:
            async for response in responses:
                assembler.add(response.chunk)
        return assembler.files()

    async def _loads(self, call: _ServerStream[_HasLoad]) -> AsyncGenerator[LoadReport]:
        async with aclosing(self._answers(call)) as responses:
            async for response in responses:
                yield load_from_proto(response.load)


class GrpcDraftStream:
    """``core.protocols.DraftStream`` over gRPC."""

    def __init__(self, stream: _DraftSession, opened: codec_draft.DraftOpened) -> None:
        """Wrap an opened stream; made by :meth:`GrpcDrafter.open`."""
        self.session = stream
        self.opened = opened
        """What the drafter said of itself when it opened the stream."""

    @property
    def drafter_digest(self) -> bytes:
        """The drafter's digest, as it said when it opened the stream."""
        return self.opened.drafter_digest

    @property
    def pauses_when_unsure(self) -> bool:
        """Whether it heeds the least confidence of a draft's extent, as it said then."""
        return self.opened.pauses_when_unsure

    @property
    def draining(self) -> bool:
        """Whether the drafter has announced its end: move the session."""
        return self.session.draining

    async def send(self, message: Commit | Evaluate, traceparent: str | None = None) -> None:
        """Send in order, under ``traceparent`` or else the current span; raises UnavailableError at the end."""
        await self.session.send_any(message, traceparent)

    async def receive(self) -> Block | Evaluated:
        """The next message; cancelling the wait loses none. Raises a DraftmeshError when the stream has ended."""
        message = await self.session.receive_any()
        if isinstance(message, codec_draft.DraftOpened):
            raise InternalError("the drafter opened the stream twice")
        return message


class GrpcDrafter(_Peer):
    """A drafter at an address; satisfies ``core.protocols.Drafter``."""

    def __init__(self, address: str, timeouts: Timeouts | None = None, channel: ChannelConfig | None = None) -> None:
        """Connect to ``host:port`` when first used."""
        super().__init__(address, timeouts, channel)
        self._stub = drafter_pb2_grpc.DrafterServiceStub(self._channel)

    @asynccontextmanager
    async def open(self, request: DraftOpen) -> AsyncIterator[GrpcDraftStream]:
        """Open a session's stream; leaving the context cancels the call, and the drafter frees what it holds.

        Raises:
            DeadlineError: the drafter did not answer in time.
            DraftmeshError: it refused, or is not there.
        """
        call = self._stub.Draft(timeout=self._timeouts.session_s, metadata=trace_metadata())
        async with call_stream(call, self._name, self._timeouts.send_s) as stream:
            session: _DraftSession = SessionStream(
                stream,
                request.fence,
                self._name,
                codec_draft.draft_request_to_proto,
                codec_draft.draft_response_from_proto,
            )
            opened = await session.handshake(request, self._timeouts.open_s)
            if not isinstance(opened, codec_draft.DraftOpened):
                raise InternalError(f"{self._name} did not begin with DraftOpened")
            yield GrpcDraftStream(session, opened)

    async def info(self) -> DrafterInfo:
        """Who it is."""
        request = drafter_pb2.GetDrafterInfoRequest()
        call = self._stub.GetDrafterInfo(request, timeout=self._timeouts.unary_s, metadata=trace_metadata())
        return codec_draft.drafter_info_from_proto(await self._answer(call))

    def watch(self) -> AsyncGenerator[LoadReport]:
        """Its load, now and whenever it changes; ends when the drafter ends it, else raises a DraftmeshError."""
        return self._loads(self._stub.WatchDrafter(drafter_pb2.WatchDrafterRequest(), timeout=self._timeouts.watch_s))

    async def tokenizer_files(self) -> tuple[TokenizerFile, ...]:
        """The drafter's tokenizer; empty for a drafter without one."""
        request = drafter_pb2.GetDrafterTokenizerRequest()
        call = self._stub.GetDrafterTokenizer(request, timeout=self._timeouts.tokenizer_s)
        return await self._files(call)

    async def register_vocabulary(self, digest: bytes, vocabulary: WholeVocabulary) -> int:
        """Make a target's vocabulary known; how many of its tokens the drafter can propose."""
        request = vocabulary_to_proto(digest, vocabulary)
        call = self._stub.RegisterVocabulary(request, timeout=self._timeouts.tokenizer_s, metadata=trace_metadata())
        return (await self._answer(call)).shared_tokens


class GrpcVerifyStream:
    """``core.protocols.VerifyStream`` over gRPC."""

    def __init__(self, stream: _VerifySession, open_s: float) -> None:
        """Wrap a stream whose first message has been sent, by :meth:`GrpcVerifier.open`."""
        self.session = stream
        self._open_s = open_s
        self._opened: codec_verify.VerifyOpened | None = None

    async def opened(self) -> codec_verify.VerifyOpened:
        """What the verifier says of itself when it has opened the stream.

        Raises:
            DeadlineError: it does not answer in time.
            DraftmeshError: it refuses, or is not there.
        """
        if self._opened is None:
            answer = await self.session.first_answer(self._open_s)
            if not isinstance(answer, codec_verify.VerifyOpened):
                raise InternalError("the verifier did not begin with VerifyOpened")
            self._opened = answer
        return self._opened

    @property
    def draining(self) -> bool:
        """Whether the verifier has announced its end: move the session."""
        return self.session.draining

    async def send(self, message: VerifyRound | PsiReply, traceparent: str | None = None) -> None:
        """Send in order, under ``traceparent`` or else the current span; raises UnavailableError at the end."""
        await self.session.send_any(message, traceparent)

    async def receive(self) -> Verdict | PsiQuery:
        """The next message; cancelling the wait loses none.

        Raises a DraftmeshError when the stream has ended, or as :meth:`opened` does if it never began.
        """
        await self.opened()
        message = await self.session.receive_any()
        if isinstance(message, codec_verify.VerifyOpened):
            raise InternalError("the verifier opened the stream twice")
        return message


class GrpcVerifier(_Peer):
    """A verifier at an address; satisfies ``core.protocols.Verifier``."""

    def __init__(self, address: str, timeouts: Timeouts | None = None, channel: ChannelConfig | None = None) -> None:
        """Connect to ``host:port`` when first used."""
        super().__init__(address, timeouts, channel)
        self._stub = verifier_pb2_grpc.VerifierServiceStub(self._channel)

    @asynccontextmanager
    async def open(self, request: VerifyOpen) -> AsyncIterator[GrpcVerifyStream]:
        """Open a session's stream; leaving the context cancels the call, and the verifier frees what it holds.

        Rounds may be sent at once: to a verifier that is far, a way there and back is saved. Whether it has opened the
        stream, what it sends tells.
        """
        call = self._stub.Verify(timeout=self._timeouts.session_s, metadata=trace_metadata())
        async with call_stream(call, self._name, self._timeouts.send_s) as stream:
            session: _VerifySession = SessionStream(
                stream,
                request.fence,
                self._name,
                codec_verify.verify_request_to_proto,
                codec_verify.verify_response_from_proto,
            )
            await session.begin(request)
            yield GrpcVerifyStream(session, self._timeouts.open_s)

    async def info(self) -> VerifierInfo:
        """Who it is."""
        request = verifier_pb2.GetVerifierInfoRequest()
        call = self._stub.GetVerifierInfo(request, timeout=self._timeouts.unary_s, metadata=trace_metadata())
        return codec_verify.verifier_info_from_proto(await self._answer(call))

    def watch(self) -> AsyncGenerator[LoadReport]:
        """Its load, now and whenever it changes; ends when the verifier ends it, else raises a DraftmeshError."""
        return self._loads(
            self._stub.WatchVerifier(verifier_pb2.WatchVerifierRequest(), timeout=self._timeouts.watch_s)
        )

    async def tokenizer_files(self, digest: bytes = b"") -> tuple[TokenizerFile, ...]:
        """The target's tokenizer; raises NotFoundError if ``digest`` is given and is another one's."""
        request = verifier_pb2.GetVerifierTokenizerRequest(digest=digest)
        call = self._stub.GetVerifierTokenizer(request, timeout=self._timeouts.tokenizer_s)
        return await self._files(call)
