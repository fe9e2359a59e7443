"""The bytes behind a piece, as each family spells them."""

from __future__ import annotations

import re
from collections.abc import Callable

from draftmesh.tokenization.byte_alphabet import piece_bytes

SPACE_MARKER = "▁"
"""What SentencePiece writes for a space (U+2581)."""

BYTE_PIECES = tuple(f"<0x{byte:02X}>" for byte in range(256))
"""How byte fallback spells each byte."""

_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


def byte_of(piece: str) -> int | None:
    """The byte that a byte fallback piece such as ``<0x0A>`` stands for."""
    match = _BYTE_PIECE.fullmatch(piece)
    return int(match[1], 16) if match else None


def mistakable(*, space_marker: bool, byte_pieces: bool) -> list[str]:
    """Patterns of single characters that must not reach a tokenizer as they are.

    A ``▁`` would come back as a space, and the first character of a spelled-out ``<0x41>`` makes it a byte.

    Args:
        space_marker: the vocabulary writes spaces as ``▁``.
        byte_pieces: the tokenizer finds its byte pieces in texts (Unigram does).
    """
    return [SPACE_MARKER] * space_marker + [f"<(?={_BYTE_PIECE.pattern[1:]})"] * byte_pieces


def marked_text_bytes(piece: str) -> bytes:
    """The bytes of a SentencePiece piece."""
    byte = byte_of(piece)
    return piece.replace(SPACE_MARKER, " ").encode() if byte is None else bytes([byte])


def plain_text_bytes(piece: str) -> bytes:
    """The bytes of a piece of a vocabulary that writes spaces as they are."""
    byte = byte_of(piece)
    return piece.encode() if byte is None else bytes([byte])


def decoder_of(*, byte_alphabet: bool, space_marker: bool) -> Callable[[str], bytes]:
    """How this vocabulary's pieces become bytes."""
    if byte_alphabet:
        return piece_bytes
    return marked_text_bytes if space_marker else plain_text_bytes
