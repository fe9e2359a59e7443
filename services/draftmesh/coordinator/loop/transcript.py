"""What the target has settled in one session: its tokens, their text, and how much of it a client may see.

Text is held back while it may become part of a stop string, and while it ends inside a character.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.core.errors import InternalError
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import FinishReason
from draftmesh.core.text import Item, TextPrefix, TokenPrefix
from draftmesh.core.verify import TokenLogprobs, Verdict
from draftmesh.decoding.stopping import StopMatcher
from draftmesh.tokenization.detokenizer import IncrementalDetokenizer


class Origin(enum.IntEnum):
    """Where a committed token came from. Values equal the wire's enum."""

    DRAFTED = 1
    TARGET = 2


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """One committed token."""

    id: int
    byte_length: int
    origin: Origin
    logprobs: TokenLogprobs | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """What one step of a session adds to its record."""

    tokens: tuple[TokenSpan, ...]
    text: bytes
    """Bytes of the tokens."""

    ready_length: int
    """Leading bytes of the whole generated text that a client may see: whole characters, none of a stop string."""

    finish_reason: FinishReason | None = None


class Transcript:
    """Grows with every verdict and never shrinks."""

    def __init__(self, table: TokenTable, stop: tuple[bytes, ...]) -> None:
        self._table = table
        self._matcher = StopMatcher(stop)
        self._detokenizer = IncrementalDetokenizer()
        self._ids: list[int] = []
        self._items: list[Item] = []
        self._text = bytearray()
        self._prefix = TokenPrefix()
        self._text_prefix = TextPrefix()
        self._examined = 0  # bytes given to the detokenizer
        self._ready_length = 0
        self._finish_reason: FinishReason | None = None

    @property
    def ids(self) -> Sequence[int]:
        """Committed target tokens."""
        return self._ids

    @property
    def items(self) -> Sequence[Item]:
        """Their text, one item a token."""
        return self._items

    @property
    def prefix(self) -> TokenPrefix:
        """Their name."""
        return self._prefix

    @property
    def text_prefix(self) -> TextPrefix:
        """The name of their text."""
        return self._text_prefix

    @property
    def finished(self) -> bool:
        """Whether the target has said its last token."""
        return self._finish_reason is not None

    def settle(self, verdict: Verdict) -> Advance:
        """Append a verdict's tokens.

        Raises:
            InternalError: the verifier sent an id that its own vocabulary lacks, or ends the text before what a
                client has been shown.
        """
        spans = self._spans(verdict)
        pieces = [self._table.token_bytes(token) for token in verdict.tokens]
        end = self._end(verdict, sum(map(len, pieces)))
        for token, piece in zip(verdict.tokens, pieces, strict=True):
            self._ids.append(token)
            self._items.append(self._item(token, piece))
            self._text += piece
            self._matcher.push(piece)
        self._prefix = self._prefix.extend(verdict.tokens)
        self._text_prefix = self._text_prefix.extend(self._items[len(self._items) - len(pieces) :])
        self._finish_reason = verdict.finish_reason
        self._ready_length = self._whole_length(self._matcher.safe_length) if end is None else end
        return Advance(spans, b"".join(pieces), self._ready_length, self._finish_reason)

    def _item(self, token: int, piece: bytes) -> Item:
        role = self._table.role(token)
        return role if role is not None else piece

    def _spans(self, verdict: Verdict) -> tuple[TokenSpan, ...]:
        if not all(0 <= token < len(self._table) for token in verdict.tokens):
            raise InternalError("the verifier committed a token that its vocabulary does not have")
        logprobs = verdict.logprobs or (None,) * len(verdict.tokens)
        return tuple(
            TokenSpan(
                id=token,
                byte_length=len(self._table.token_bytes(token)),
                origin=Origin.DRAFTED if position < verdict.accepted else Origin.TARGET,
                logprobs=logprobs[position],
            )
            for position, token in enumerate(verdict.tokens)
        )

    def _end(self, verdict: Verdict, num_bytes: int) -> int | None:
        """Where the text ends, if the verdict, with so many more bytes, ends it."""
        if verdict.finish_reason is None:
            return None
        total = len(self._text) + num_bytes
        end = total if verdict.text_length is None else verdict.text_length
        if not self._ready_length <= end <= total:
            raise InternalError(f"the verifier ends the text at byte {end}: {self._ready_length} of {total} are out")
        return end

    def _whole_length(self, length: int) -> int:
        """Bytes of the first ``length`` that are whole characters."""
        whole = self._detokenizer.push(bytes(self._text[self._examined : length]))
        self._examined = max(self._examined, length)
        return self._ready_length + len(whole)
