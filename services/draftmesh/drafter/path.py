"""The drafter's own tokens of the generated text, and how committed text is worked into them.

Appending encoded bytes after whatever tokens are there gives segmentations that no model was trained on ("ban", "ana"
for "banana"). So the last words before the new text are encoded together with it, and the longest common prefix with
the present tokens stays: their KV is still good. Any segmentation is lossless; a natural one is accepted more often.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from draftmesh.core.protocols import TextEncoder, TokenTable
from draftmesh.core.text import Item, Role
from draftmesh.drafter.symbols import common_length

_WINDOW_TOKENS = 12  # encoded again at most, before new text
_WINDOW_WORDS = 2


class DraftVocabulary(TokenTable, Protocol):
    """A vocabulary that knows its special tokens by role."""

    def ids_of_role(self, role: Role) -> tuple[int, ...]:
        """The ids of a role, the preferred one first."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What a sequence has to do to follow the path: keep so many generated tokens, then take these ids."""

    keep_tokens: int
    ids: tuple[int, ...]


class TokenPath:
    """Generated tokens whose bytes are the text, in order."""

    def __init__(self, encoder: TextEncoder, vocabulary: DraftVocabulary) -> None:
        """Start empty."""
        self._encoder = encoder
        self._vocabulary = vocabulary
        self._ids: list[int] = []

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self._ids)

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens."""
        return tuple(self._ids)

    def push(self, token: int) -> None:
        """Append a drawn token."""
        self._ids.append(token)

    def replace_end(self, dropped_tokens: int, items: Iterable[Item]) -> Edit:
        """Drop tokens from the end, then append text.

        A role that the vocabulary does not have is left out: the text's bytes stay right.

        Raises:
            InvalidTextError: the vocabulary cannot express the text; the path is unchanged.
        """
        kept = self._ids[: len(self._ids) - dropped_tokens]
        low = len(kept)
        for item in items:
            start = self._window_start(kept) if isinstance(item, bytes) else len(kept)
            kept[start:] = self._encode(kept[start:], item)
            low = min(low, start)
        keep = low + common_length(self._ids[low:], kept[low:])
        self._ids = kept
        return Edit(keep, tuple(kept[keep:]))

    def back_up(self, count: int) -> bytes:
        """Drop the last ``count`` tokens; their bytes."""
        dropped = self._ids[len(self._ids) - count :]
        del self._ids[len(self._ids) - count :]
        return self._encoder.decode_bytes(dropped)

    def _encode(self, window: Sequence[int], item: Item) -> list[int]:
        if isinstance(item, Role):
            return list(self._vocabulary.ids_of_role(item)[:1])
        return self._encoder.encode_bytes(self._encoder.decode_bytes(window) + item)

    def _window_start(self, ids: Sequence[int]) -> int:
        """Where to begin encoding again: at a word's start, not across a special token, not too far back."""
        words, start = 0, len(ids)
        while start > max(0, len(ids) - _WINDOW_TOKENS) and words < _WINDOW_WORDS:
            data = self._vocabulary.token_bytes(ids[start - 1])
            if not data:
                break
            start -= 1
            words += data[:1].isspace()
        return start
