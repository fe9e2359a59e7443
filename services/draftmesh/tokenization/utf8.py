"""Where UTF-8 is whole, where it is broken, and where it is merely not finished yet.

Tokens of byte-level vocabularies end inside characters, so every stage of the token path meets all three.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_PENDING_BYTES = 3
"""A character that has begun and not ended has at most this many bytes."""


_ESCAPE = "surrogateescape"  # PEP 383: a byte that is not UTF-8 becomes a character that no UTF-8 is
_BROKEN = "[\udc80-\udcff]+"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of bytes that is either text or not."""

    data: bytes
    text: str | None
    """The characters; None: the bytes are not text, or not to be treated as such."""


def split_pattern(others: Iterable[str] = ()) -> re.Pattern[str]:
    """The pattern for :func:`split_text`: broken bytes, and what else (regular expressions) is not to count as text."""
    return re.compile("|".join([_BROKEN, *others]))


def split_text(data: bytes, pattern: re.Pattern[str]) -> list[Chunk]:
    """Cut ``data`` into text and what matches ``pattern``, in order; the pieces add up to ``data``."""
    text = data.decode(errors=_ESCAPE)
    chunks, position = [], 0
    for match in pattern.finditer(text):
        chunks.append(_text_chunk(text[position : match.start()]))
        chunks.append(Chunk(match[0].encode(errors=_ESCAPE), None))
        position = match.end()
    chunks.append(_text_chunk(text[position:]))
    return [chunk for chunk in chunks if chunk.data]


def _text_chunk(text: str) -> Chunk:
    return Chunk(text.encode(), text)


def pending_length(data: bytes) -> int:
    """Bytes at the end of ``data`` that begin a character which more bytes can finish: 0 to 3."""
    for length in range(1, min(MAX_PENDING_BYTES, len(data)) + 1):
        lead = data[-length]
        if lead < 0x80:
            return 0
        if lead >= 0xC0:
            return length if _is_unfinished(data[-length:]) else 0
    return 0


def _is_unfinished(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start == 0 and error.end == len(data) and error.reason == "unexpected end of data"
    return False
