"""VerifierService over gRPC: each call is handed on to the part that knows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from draftmesh.core.errors import NotFoundError
from draftmesh.tokenization.tokenizer import Tokenizer
from draftmesh.transport.codec_common import load_to_proto
from draftmesh.transport.codec_tokenizer import tokenizer_chunks
from draftmesh.transport.codec_verify import verifier_info_to_proto
from draftmesh.transport.load_board import LoadBoard
from draftmesh.v1 import verifier_pb2, verifier_pb2_grpc
from draftmesh.verifier.conversation import converse
from draftmesh.verifier.sessions import Sessions

SERVICE_NAME = verifier_pb2.DESCRIPTOR.services_by_name["VerifierService"].full_name
TOKENIZER_CHUNK_BYTES = 256 << 10

_Context = grpc.aio.ServicerContext[Any, Any]


class VerifierServicer(verifier_pb2_grpc.VerifierServiceServicer):
    """The RPCs of one verifier; errors become statuses in the transport's interceptors."""

    def __init__(
        self,
        sessions: Sessions,
        board: LoadBoard,
        tokenizer: Tokenizer,
        *,
        watch_interval_s: float,
        open_timeout_s: float,
    ) -> None:
        self._sessions = sessions
        self._board = board
        self._tokenizer = tokenizer
        self._watch_interval_s = watch_interval_s
        self._open_timeout_s = open_timeout_s

    def register(self, server: grpc.aio.Server) -> None:
        """Add the RPCs to a server."""
        verifier_pb2_grpc.add_VerifierServiceServicer_to_server(self, server)

    async def Verify(
        self, request_iterator: AsyncIterator[verifier_pb2.VerifyRequest], context: _Context
    ) -> AsyncGenerator[verifier_pb2.VerifyResponse]:
        """One session's rounds."""
        del context
        async with aclosing(converse(self._sessions, request_iterator, self._open_timeout_s)) as responses:
            async for response in responses:
                yield response

    async def GetVerifierInfo(
        self, request: verifier_pb2.GetVerifierInfoRequest, context: _Context
    ) -> verifier_pb2.GetVerifierInfoResponse:
        """Who this verifier is."""
        del request, context
        return verifier_info_to_proto(self._sessions.info)

    async def GetVerifierTokenizer(
        self, request: verifier_pb2.GetVerifierTokenizerRequest, context: _Context
    ) -> AsyncGenerator[verifier_pb2.GetVerifierTokenizerResponse]:
        """The target's tokenizer, file by file."""
        del context
        if request.digest and request.digest != self._tokenizer.digest:
            raise NotFoundError(f"no tokenizer {request.digest.hex()} here, only {self._tokenizer.digest.hex()}")
        for chunk in tokenizer_chunks(self._tokenizer.files, TOKENIZER_CHUNK_BYTES):
            yield verifier_pb2.GetVerifierTokenizerResponse(chunk=chunk)

    async def WatchVerifier(
        self, request: verifier_pb2.WatchVerifierRequest, context: _Context
    ) -> AsyncGenerator[verifier_pb2.WatchVerifierResponse]:
        """The load, now and whenever it changes."""
        del request, context
        async with aclosing(self._board.watch(self._watch_interval_s)) as reports:
            async for report in reports:
                yield verifier_pb2.WatchVerifierResponse(load=load_to_proto(report))
