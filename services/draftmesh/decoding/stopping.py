"""When a generation ends, and how much of its text can be delivered before that is known.

Tokens are examined one at a time, so the outcome does not depend on how verdicts group them: the first token that is
an end token, or completes a stop string, or reaches a limit, is the last one kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import FinishReason, StopConditions
from draftmesh.core.text import TERMINAL_ROLES


class StopMatcher:
    """Finds the first stop string in a stream of bytes, whatever pieces it comes in.

    The piece (in a generation: the token) that first completes a stop string decides; of several that it completes,
    the one that starts earliest counts.
    """

    def __init__(self, stop: tuple[bytes, ...]) -> None:
        self._stop = stop
        self._longest = max(map(len, stop), default=0)
        self._tail = b""  # the newest bytes, fewer than the longest stop string has
        self._length = 0
        self._match: int | None = None

    @property
    def match(self) -> int | None:
        """Byte offset where the stop string starts, once there is one."""
        return self._match

    @property
    def safe_length(self) -> int:
        """Leading bytes that no later byte can make part of a stop string; never shrinks."""
        if self._match is not None:
            return self._match
        return self._length - self._pending_bytes()

    def push(self, data: bytes) -> int | None:
        """Add bytes; the byte offset where the first stop string starts, or None while there is none.

        After a match nothing changes any more.
        """
        if self._match is not None:
            return self._match
        window = self._tail + data
        window_start = self._length - len(self._tail)
        starts = [start for text in self._stop if (start := window.find(text)) >= 0]
        self._length += len(data)
        if starts:
            self._match = window_start + min(starts)
        self._tail = window[max(0, len(window) - self._longest + 1) :] if self._longest else b""
        return self._match

    def _pending_bytes(self) -> int:
        """Length of the longest suffix that begins a stop string."""
        for start in range(len(self._tail)):
            suffix = self._tail[start:]
            if any(text.startswith(suffix) for text in self._stop):
                return len(suffix)
        return 0


@dataclass(frozen=True, slots=True)
class Settled:
    """What is kept of newly drawn tokens."""

    tokens: tuple[int, ...]
    finish_reason: FinishReason | None = None
    text_length: int | None = None
    """With a finish reason: bytes of generated text to deliver."""


class StopTracker:
    """Applies a generation's stop conditions to its tokens as they are settled.

    To continue a generation elsewhere, settle its committed tokens again.
    """

    def __init__(self, conditions: StopConditions, table: TokenTable, *, room_tokens: int | None = None) -> None:
        """Start before the first generated token.

        Args:
            conditions: Of the request.
            table: The target's vocabulary.
            room_tokens: Generated tokens that the context has room for; None: no such limit.
        """
        self._ignore_eos = conditions.ignore_eos
        self._table = table
        self._limit = conditions.max_tokens if room_tokens is None else min(conditions.max_tokens, room_tokens)
        self._matcher = StopMatcher(conditions.stop)
        self._num_tokens = 0
        self._text_bytes = 0
        self._finish_reason: FinishReason | None = None
        self._text_length: int | None = None
        if self._limit <= 0:
            self._finish(FinishReason.LENGTH, 0)

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the generation ended, once it has."""
        return self._finish_reason

    @property
    def remaining_tokens(self) -> int:
        """Tokens that may still be kept."""
        return 0 if self._finish_reason is not None else self._limit - self._num_tokens

    def settle(self, ids: Iterable[int]) -> Settled:
        """Keep tokens up to and including the one that ends the generation; none once it has ended."""
        kept = []
        for token in ids:
            if self._finish_reason is not None:
                break
            kept.append(token)
            self._examine(token)
        return Settled(tuple(kept), self._finish_reason, self._text_length)

    def _examine(self, token: int) -> None:
        data = self._table.token_bytes(token)
        before = self._text_bytes
        self._num_tokens += 1
        self._text_bytes += len(data)
        match = self._matcher.push(data)
        if not self._ignore_eos and self._table.role(token) in TERMINAL_ROLES:
            self._finish(FinishReason.EOS, before)
        elif match is not None:
            self._finish(FinishReason.STOP, match)
        elif self._num_tokens >= self._limit:
            self._finish(FinishReason.LENGTH, self._text_bytes)

    def _finish(self, reason: FinishReason, text_length: int) -> None:
        self._finish_reason = reason
        self._text_length = text_length
