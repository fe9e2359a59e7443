"""A session's text as a client reads it: from any byte offset, once or often, while it grows or afterwards."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from itertools import accumulate

from draftmesh.coordinator.loop.transcript import TokenSpan
from draftmesh.coordinator.sessions.live import LiveSession
from draftmesh.coordinator.sessions.record import SessionRecord
from draftmesh.core.errors import InvalidRequestError, UnavailableError


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next text: whole characters, in order, without gaps."""

    offset: int
    text: bytes
    tokens: tuple[TokenSpan, ...]
    """Committed since the chunk before."""


class Reader:
    """One client's place in a session."""

    def __init__(self, record: SessionRecord, offset: int = 0) -> None:
        """Start at a byte offset that the client has reached.

        Raises:
            InvalidRequestError: there is no such text yet.
        """
        if not 0 <= offset <= record.ready_length:
            raise InvalidRequestError(f"offset {offset} lies beyond the {record.ready_length} bytes of text")
        self._offset = offset
        self._num_tokens = _tokens_within(record, offset)

    def next(self, record: SessionRecord) -> Chunk | None:
        """What ``record`` has that was not read yet; None if that is nothing to show."""
        text = record.text[self._offset : record.ready_length]
        tokens = record.tokens[self._num_tokens :]
        if not text and not (tokens and record.has_ended):
            return None
        chunk = Chunk(self._offset, text, tokens)
        self._offset += len(text)
        self._num_tokens = len(record.tokens)
        return chunk


async def follow(session: LiveSession, reader: Reader) -> AsyncGenerator[Chunk]:
    """All chunks to the end of a running session.

    Raises:
        DraftmeshError: the session has failed.
    """
    while True:
        chunk = reader.next(session.record)
        if chunk is not None:
            yield chunk
        elif session.record.has_ended:
            break
        else:
            await session.changed.wait()
    if session.error is not None:
        raise session.error


def replay(record: SessionRecord, reader: Reader) -> Iterator[Chunk]:
    """The rest of a session that has ended.

    Raises:
        UnavailableError: it had failed, and there is nothing more.
    """
    chunk = reader.next(record)
    if chunk is not None:
        yield chunk
    if record.failure:
        raise UnavailableError(f"the session has failed: {record.failure}")


def _tokens_within(record: SessionRecord, offset: int) -> int:
    """Leading tokens that a client at ``offset`` has seen: those whose bytes end there or before."""
    if offset == 0:
        return 0
    ends = accumulate(token.byte_length for token in record.tokens)
    return sum(1 for end in ends if end <= offset)
