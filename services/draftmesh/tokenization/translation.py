"""Turns the text that a drafter proposes into tokens that the target could have said.

Alignment is by byte offset (DESIGN, "Tokenizer translation"): encode the end of the committed text together with the
draft, and keep the tokens that start where the committed text ends. Where no token starts there, the draft is encoded
alone. Committed ids are never derived from text again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from draftmesh.core.text import TERMINAL_ROLES, Item, Role, text_until_role
from draftmesh.tokenization.tokenizer import Tokenizer
from draftmesh.tokenization.utf8 import pending_length

DEFAULT_WINDOW_BYTES = 64
"""Committed text that a draft is encoded with: enough for the word that it may continue."""


@dataclass(frozen=True, slots=True)
class Translation:
    """A draft as the target's tokens."""

    ids: tuple[int, ...]
    """Tokens that no later text changes; the target's end token last, if the draft has ended with one."""

    weak_ids: tuple[int, ...] = ()
    """Tokens of the whole characters after those, if the text ended there; what comes next may merge with them."""


class DraftTranslator:
    """Translates one session's drafts; remembers the end of what its target has committed.

    Args:
        tokenizer: the target's.
        window_bytes: how much committed text to encode with a draft.
    """

    def __init__(self, tokenizer: Tokenizer, window_bytes: int = DEFAULT_WINDOW_BYTES) -> None:
        self._tokenizer = tokenizer
        self._window_bytes = window_bytes
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._cut = False

    def commit(self, ids: Sequence[int]) -> None:
        """Take what the target settled: at the start the end of the prompt, then every verdict's tokens.

        Raises:
            InvalidTokenError: an id lies outside the vocabulary.
        """
        recent = ids[-self._window_bytes - 1 :]
        self._cut |= len(recent) < len(ids)
        for token in recent:
            self._append(token)
        while self._tail_bytes > self._window_bytes:
            self._tail_bytes -= len(self._tail.popleft())
            self._cut = True

    def translate(self, draft: Sequence[Item], *, ended: bool, settled: Sequence[int] = ()) -> Translation:
        """Translate the text that follows what is committed.

        Args:
            draft: text and roles. The text ends at the first role; a terminal one becomes the target's own.
            ended: nothing follows the draft, so nothing needs to be held back.
            settled: first tokens of the draft, by a translation of its beginning that held something back: only what
                follows them is encoded.

        Raises:
            InvalidTextError: the target's vocabulary has no token for one of the bytes.
        """
        text, role = text_until_role(draft)
        rest = text[sum(self._lengths(settled)) :]
        aligned = self._align(b"" if settled else self._window(), rest) if rest else _NOTHING
        if ended or role is not None:
            return Translation((*settled, *aligned.ids, *self._terminal(role)))
        stable, weak = _hold_back(aligned)
        return Translation((*settled, *stable), weak)

    def _append(self, token: int) -> None:
        data = self._tokenizer.vocabulary.token_bytes(token)
        if data:
            self._tail.append(data)
            self._tail_bytes += len(data)
        elif self._tokenizer.vocabulary.is_special(token):
            self._tail.clear()
            self._tail_bytes, self._cut = 0, False

    def _align(self, window: bytes, text: bytes) -> _Aligned:
        """Tokens of ``text`` after the bytes of the window."""
        encoded = self._tokenizer.encode(window + text)
        unfinished = pending_length(window + text)
        ends = list(accumulate(self._lengths(encoded.ids)))
        stable = max(0, encoded.stable_length - len(window))
        if not window or len(window) in ends:
            first = ends.index(len(window)) + 1 if window else 0
            ids = encoded.ids[first:]
        else:
            alone = self._tokenizer.encode(text)
            ids, stable = alone.ids, alone.stable_length if stable else 0
        return _Aligned(tuple(ids), self._lengths(ids), stable, max(0, len(text) - unfinished))

    def _lengths(self, ids: Sequence[int]) -> tuple[int, ...]:
        table = self._tokenizer.vocabulary
        return tuple([len(table.token_bytes(token)) for token in ids])

    def _window(self) -> bytes:
        """The end of the committed text, from the start of a word, or at least of a character."""
        pieces = list(self._tail)
        if not self._cut:
            return b"".join(pieces)
        spaced = (i for i in range(1, len(pieces)) if pieces[i][:1].isspace() and not pieces[i - 1][-1:].isspace())
        whole = (i for i, piece in enumerate(pieces) if piece[0] & 0xC0 != 0x80)
        return b"".join(pieces[next(spaced, next(whole, len(pieces))) :])

    def _terminal(self, role: Role | None) -> tuple[int, ...]:
        """The target's end token for a terminal role: its own of that role, or of the other terminal one."""
        if role not in TERMINAL_ROLES:
            return ()
        roles = sorted(TERMINAL_ROLES, key=lambda terminal: terminal is not role)
        ids = [token for terminal in roles for token in self._tokenizer.vocabulary.ids_of_role(terminal)]
        return tuple(ids[:1])


@dataclass(frozen=True, slots=True)
class _Aligned:
    """A draft's tokens after the committed bytes."""

    ids: tuple[int, ...]
    byte_lengths: tuple[int, ...]
    stable_length: int
    """Bytes of the draft whose tokens no later text changes."""

    whole_length: int
    """Bytes of the draft up to the last whole character."""


_NOTHING = _Aligned((), (), 0, 0)


def _hold_back(aligned: _Aligned) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens that stay whatever follows, and those of the whole characters after them."""
    ends = list(accumulate(aligned.byte_lengths))
    stable, whole = bisect_right(ends, aligned.stable_length), bisect_right(ends, aligned.whole_length)
    return aligned.ids[:stable], aligned.ids[stable:whole]
