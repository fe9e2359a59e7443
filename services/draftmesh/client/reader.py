"""One generation's stream of messages, read the same way by both clients."""

from __future__ import annotations

from draftmesh.client.messages import chunk_from_proto
from draftmesh.client.results import Chunk, Generation, GenerationBuilder
from draftmesh.core.errors import StateError, UnavailableError
from draftmesh.core.sampling import FinishReason, Method
from draftmesh.transport.codec_ledger import ledger_from_proto
from draftmesh.v1 import coordinator_pb2


class StreamReader:
    """Turns messages into chunks, and their end into a :class:`Generation`."""

    def __init__(self) -> None:
        self._builder = GenerationBuilder()
        self._result: Generation | None = None

    @property
    def session_id(self) -> str:
        """The session's id; empty before the first message."""
        return self._builder.session_id

    @property
    def result(self) -> Generation:
        """The finished generation.

        Raises:
            StateError: the stream has not been read to its end.
        """
        if self._result is None:
            raise StateError("the generation has not finished; read the stream to its end first")
        return self._result

    def read(self, message: coordinator_pb2.GenerateResponse) -> Chunk | None:
        """The chunk in the message, if it holds one."""
        kind = message.WhichOneof("message")
        if kind == "chunk":
            chunk = chunk_from_proto(message.chunk)
            self._builder.add(chunk)
            return chunk
        if kind == "started":
            self._start(message.started)
        elif kind == "finished":
            self._finish(message.finished)
        return None

    def end(self) -> None:
        """The stream is over; raises UnavailableError if it broke off."""
        if self._result is None:
            raise UnavailableError("the stream ended before the generation had finished")

    def _start(self, started: coordinator_pb2.GenerationStarted) -> None:
        self._builder.session_id = started.session_id
        self._builder.model = started.model
        self._builder.method = Method(started.method).label

    def _finish(self, finished: coordinator_pb2.GenerationFinished) -> None:
        self._result = self._builder.finish(
            FinishReason(finished.finish_reason),
            finished.prompt_tokens,
            finished.completion_tokens,
            ledger_from_proto(finished.ledger),
        )
