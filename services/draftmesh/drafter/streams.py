"""The protocol of a session's stream, in core values: what may come first, what follows, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import structlog

from draftmesh.core.draft import Block, Commit, DraftOpen, Evaluate, Evaluated
from draftmesh.core.errors import (
    AlreadyOpenError,
    DraftmeshError,
    FencedError,
    InternalError,
    StateError,
)
from draftmesh.core.fence import Fence
from draftmesh.core.protocols import Clock
from draftmesh.core.sampling import Method
from draftmesh.drafter.admission import admissible
from draftmesh.drafter.backend import Backend
from draftmesh.drafter.config import DrafterConfig
from draftmesh.drafter.lane import Lane
from draftmesh.drafter.session import Pacing
from draftmesh.drafter.spans import DraftSpans
from draftmesh.drafter.vocabularies import VocabularyStore
from draftmesh.telemetry.metrics import DrafterMetrics
from draftmesh.telemetry.tracing import tracer
from draftmesh.tokenization.vocabulary import Vocabulary
from draftmesh.transport.codec_common import Draining
from draftmesh.transport.codec_draft import DraftOpened, DraftRequestMessage, DraftResponseMessage
from draftmesh.transport.fences import Claim, FenceRegistry
from draftmesh.transport.load_board import LoadBoard
from draftmesh.transport.outbox import Outbox

_LOG = structlog.get_logger(__name__)

Outgoing = Block | Evaluated | Draining


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message of the coordinator."""

    fence: Fence
    traceparent: str
    message: DraftRequestMessage


@dataclass(frozen=True, slots=True)
class Daemon:
    """What all streams of a drafter share. For one event loop."""

    config: DrafterConfig
    backend: Backend
    board: LoadBoard
    vocabularies: VocabularyStore
    metrics: DrafterMetrics
    clock: Clock


class DraftStreams:
    """Serves sessions' streams."""

    def __init__(self, daemon: Daemon) -> None:
        """Serve for ``daemon``."""
        self._daemon = daemon
        self._fences = FenceRegistry()
        self._open: set[Outbox[Outgoing]] = set()

    def announce_drain(self) -> None:
        """Take no new sessions, and ask those that are open to move."""
        self._daemon.board.drain()
        for outbox in self._open:
            outbox.put(Draining(round(1000 * self._daemon.config.drain_grace_s)))

    async def serve(self, incoming: AsyncIterator[Incoming]) -> AsyncGenerator[DraftResponseMessage]:
        """Answer one stream, from its Open to its end.

        Raises:
            StateError: a message out of place; FencedError: a newer stream owns the session.
            DraftmeshError: the session is refused, or its proposer failed.
        """
        first = await anext(incoming, None)
        if first is None or not isinstance(first.message, DraftOpen):
            raise StateError("a stream begins with OpenDraft")
        daemon = self._daemon
        request, target = admissible(first.message, daemon.config, daemon.backend.info, daemon.vocabularies)
        outbox = Outbox[Outgoing]()
        superseded = FencedError(f"session {request.session_id}: a newer stream speaks for it")
        with (
            self._fences.claim(request.session_id, first.fence, lambda: outbox.close(superseded)) as claim,
            daemon.board.admit(),
            self._session(request, target, outbox) as (lane, spans),
        ):
            spans.begin(first.traceparent)
            await asyncio.to_thread(daemon.backend.prepare, request, target)
            await lane.open()
            yield self._opened(request)
            async with _running(_Reader(incoming, claim, lane, spans, outbox).run()):
                while (message := await outbox.get()) is not None:
                    self._count(message, spans)
                    yield message

    def _opened(self, request: DraftOpen) -> DraftOpened:
        backend = self._daemon.backend
        pauses_when_unsure = backend.knows_confidence and request.method is not Method.SLRS
        return DraftOpened(backend.info.digest, request.max_ahead_tokens, pauses_when_unsure)

    @contextmanager
    def _session(
        self, request: DraftOpen, target: Vocabulary | None, outbox: Outbox[Outgoing]
    ) -> Iterator[tuple[Lane, DraftSpans]]:
        daemon = self._daemon
        pacing = Pacing(daemon.config.block_interval_ms)
        lane = Lane(daemon.backend, request, outbox, daemon.clock, pacing, target=target)
        spans = DraftSpans(request.session_id, daemon.backend.info.name, tracer())
        self._open.add(outbox)
        daemon.metrics.sessions_active.add(1)
        try:
            yield lane, spans
        finally:
            lane.close()
            spans.end()
            self._open.discard(outbox)
            daemon.metrics.sessions_active.add(-1)
            daemon.metrics.wasted_bytes.add(lane.wasted_bytes)

    def _count(self, message: Outgoing, spans: DraftSpans) -> None:
        if isinstance(message, Block):
            spans.count(message)
            self._daemon.metrics.drafted_tokens.add(len(message.items))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes what follows the Open."""

    incoming: AsyncIterator[Incoming]
    claim: Claim
    lane: Lane
    spans: DraftSpans
    outbox: Outbox[Outgoing]

    async def run(self) -> None:
        """Read to the end of the stream, and end its answers then: properly, or with what was wrong."""
        try:
            async for incoming in self.incoming:
                self.claim.check(incoming.fence)
                await self.outbox.wait_for_room()
                self._take(incoming)
        except DraftmeshError as error:
            self.outbox.close(error)
        except Exception as error:
            _LOG.exception("reading a stream failed")
            self.outbox.close(InternalError(f"{type(error).__name__}: {error}"))
        else:
            self.outbox.close()

    def _take(self, incoming: Incoming) -> None:
        match incoming.message:
            case Commit() as commit:
                self.spans.begin(incoming.traceparent)
                self.lane.commit(commit)
            case Evaluate() as question:
                self.lane.evaluate(question)
            case _:
                raise AlreadyOpenError("the stream is open already")


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """A task that lives as long as the context."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
