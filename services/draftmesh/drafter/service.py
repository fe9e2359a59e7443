"""DrafterService over gRPC: messages to core values and back, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc

from draftmesh.core.fence import Fence
from draftmesh.drafter.streams import Daemon, DraftStreams, Incoming
from draftmesh.tokenization.vocabulary import Vocabulary
from draftmesh.transport.codec_common import fence_from_proto, load_to_proto
from draftmesh.transport.codec_draft import draft_request_from_proto, draft_response_to_proto, drafter_info_to_proto
from draftmesh.transport.codec_tokenizer import tokenizer_chunks
from draftmesh.transport.codec_vocabulary import vocabulary_from_proto
from draftmesh.v1 import drafter_pb2 as pb
from draftmesh.v1 import drafter_pb2_grpc

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["DrafterService"].full_name

Context = grpc.aio.ServicerContext[object, object]


class DrafterServicer(drafter_pb2_grpc.DrafterServiceServicer):
    """The service; what it serves is in :class:`~draftmesh.drafter.streams.DraftStreams`."""

    def __init__(self, daemon: Daemon, streams: DraftStreams) -> None:
        """Serve for ``daemon``."""
        self._daemon = daemon
        self._streams = streams

    def register(self, server: grpc.aio.Server) -> None:
        """Add the RPCs to a server."""
        drafter_pb2_grpc.add_DrafterServiceServicer_to_server(self, server)

    async def Draft(
        self,
        request_iterator: AsyncIterator[pb.DraftRequest],
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[pb.DraftResponse]:
        """One session's drafts."""
        requests = _Requests(request_iterator)
        async with aclosing(self._streams.serve(requests)) as responses:
            async for response in responses:
                yield draft_response_to_proto(response, requests.stream_fence)

    async def RegisterVocabulary(
        self,
        request: pb.RegisterVocabularyRequest,
        context: Context,  # noqa: ARG002
    ) -> pb.RegisterVocabularyResponse:
        """Makes a target's vocabulary known by its digest."""
        vocabulary = await asyncio.to_thread(_vocabulary, request)
        self._daemon.vocabularies.register(request.digest, vocabulary)
        known = self._daemon.vocabularies.get(request.digest)
        shared = await asyncio.to_thread(self._daemon.backend.shared_tokens, known)
        return pb.RegisterVocabularyResponse(shared_tokens=shared)

    async def GetDrafterInfo(
        self,
        request: pb.GetDrafterInfoRequest,  # noqa: ARG002
        context: Context,  # noqa: ARG002
    ) -> pb.GetDrafterInfoResponse:
        """Who this drafter is."""
        return drafter_info_to_proto(self._daemon.backend.info)

    async def GetDrafterTokenizer(
        self,
        request: pb.GetDrafterTokenizerRequest,  # noqa: ARG002
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[pb.GetDrafterTokenizerResponse]:
        """The drafter's tokenizer and chat template files; none without a model."""
        for chunk in tokenizer_chunks(self._daemon.backend.tokenizer_files):
            yield pb.GetDrafterTokenizerResponse(chunk=chunk)

    async def WatchDrafter(
        self,
        request: pb.WatchDrafterRequest,  # noqa: ARG002
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[pb.WatchDrafterResponse]:
        """The drafter's load, now and whenever it changes."""
        async with aclosing(self._daemon.board.watch(self._daemon.config.watch_interval_s)) as loads:
            async for load in loads:
                yield pb.WatchDrafterResponse(load=load_to_proto(load))


class _Requests:
    """Requests as core values; remembers the fence of the first for the answers."""

    def __init__(self, requests: AsyncIterator[pb.DraftRequest]) -> None:
        self._requests = aiter(requests)
        self._first: Fence | None = None

    @property
    def stream_fence(self) -> Fence:
        """The fence of the first request, which is the stream's."""
        assert self._first is not None, "nothing is answered before the first request"
        return self._first

    def __aiter__(self) -> AsyncIterator[Incoming]:
        return self

    async def __anext__(self) -> Incoming:
        request = await anext(self._requests)
        fence = fence_from_proto(request.fence)
        self._first = self._first or fence
        return Incoming(fence, request.traceparent, draft_request_from_proto(request))


def _vocabulary(request: pb.RegisterVocabularyRequest) -> Vocabulary:
    table = vocabulary_from_proto(request)
    roles = {token: role for token in range(len(table)) if (role := table.role(token)) is not None}
    return Vocabulary(table.texts, roles, table.special, table.fallback)
