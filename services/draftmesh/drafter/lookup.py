"""Where did the end of this text occur before? A suffix index for prompt lookup, over bytes.

Prompt-lookup decoding (Saxena 2023) proposes what followed the latest occurrence of the last few tokens. Over bytes it
needs no tokenizer. Positions with the same last ``min_match_bytes`` bytes form a chain from the newest to the oldest,
as in LZ77: indexing is O(1) a byte, and a look-up compares a bounded number of candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_at_least


@dataclass(frozen=True, slots=True)
class LookupConfig:
    """How far to look and what counts as a match."""

    min_match_bytes: int = 4
    """Shortest end of the text that must have occurred before."""

    max_match_bytes: int = 48
    """Bytes compared at most: among longer matches the most recent wins."""

    max_candidates: int = 32
    """Earlier occurrences compared at most, newest first."""

    def validate(self) -> None:
        """Raise :class:`ConfigError` if a value is outside its range."""
        if not 1 <= self.min_match_bytes <= self.max_match_bytes:
            raise ConfigError("lookup needs 1 <= min_match_bytes <= max_match_bytes")
        require_at_least(1, self, "max_candidates")


class SuffixIndex:
    """A growing text that finds earlier occurrences of its end."""

    def __init__(self, config: LookupConfig) -> None:
        """Start with an empty text."""
        self._config = config
        self._text = bytearray()
        self._newest: dict[bytes, int] = {}
        self._older: list[int] = [0]  # for each length of text: the next older end with the same last bytes, 0: none

    def __len__(self) -> int:
        """Bytes of text."""
        return len(self._text)

    def read(self, start: int, length: int) -> bytes:
        """At most ``length`` bytes of the text from ``start``."""
        return bytes(self._text[start : start + length])

    def append(self, data: bytes) -> None:
        """Grow the text."""
        width, position = self._config.min_match_bytes, len(self._text)
        self._text += data
        for end in range(position + 1, len(self._text) + 1):
            key = bytes(self._text[max(0, end - width) : end])
            older = self._newest.get(key, 0) if end >= width else 0
            self._older.append(older)
            self._newest[key] = end

    def find(self) -> int | None:
        """Where the best earlier occurrence of the text's end stops: what followed starts there. None: no match.

        The best match has the most bytes counted from a word's start; then the most bytes; then it is the newest.
        """
        best: tuple[int, int] | None = None
        found = None
        end = self._older[len(self._text)]
        for _ in range(self._config.max_candidates):
            if not end:
                break
            length = self._match_length(end)
            rank = (self._from_word_start(end, length), length)
            if best is None or rank > best:
                best, found = rank, end
            end = self._older[end]
        return found

    def _match_length(self, end: int) -> int:
        text, last = self._text, len(self._text)
        length = self._config.min_match_bytes
        limit = min(self._config.max_match_bytes, end)
        while length < limit and text[end - 1 - length] == text[last - 1 - length]:
            length += 1
        return length

    def _from_word_start(self, end: int, length: int) -> int:
        """Bytes of the match after its first word start; 0 if it lies inside a word."""
        starts = (i for i in range(end - length, end) if i == 0 or not self._joined(i))
        return end - next(starts, end)

    def _joined(self, position: int) -> bool:
        """Whether the byte at ``position`` goes on with the word of the byte before."""
        return is_word(self._text[position - 1]) and is_word(self._text[position])


def is_word(byte: int) -> bool:
    """Whether a byte is part of a word, as far as bytes can tell: letters, digits, underscore, and all beyond ASCII."""
    return byte >= 0x80 or byte == 0x5F or chr(byte).isalnum()
