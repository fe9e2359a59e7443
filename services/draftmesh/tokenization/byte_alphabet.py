"""The 256 characters that byte-level BPE writes bytes with (Radford et al. 2019, the GPT-2 encoder).

Printable Latin-1 bytes stand for themselves; the other 68 take the characters from U+0100 on, in order.
"""

from __future__ import annotations


def _printable(byte: int) -> bool:
    return 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or 0xAE <= byte <= 0xFF


def _build_alphabet() -> dict[int, str]:
    others = [byte for byte in range(256) if not _printable(byte)]
    alphabet = {byte: chr(byte) for byte in range(256) if _printable(byte)}
    return alphabet | {byte: chr(0x100 + index) for index, byte in enumerate(others)}


BYTE_TO_CHAR = _build_alphabet()
"""Each byte's character."""

_CHAR_TO_BYTE = {char: byte for byte, char in BYTE_TO_CHAR.items()}


def piece_bytes(piece: str) -> bytes:
    """The bytes of a piece in the alphabet; a piece with any other character is its own UTF-8, as decoders have it."""
    try:
        return bytes([_CHAR_TO_BYTE[char] for char in piece])
    except KeyError:
        return piece.encode()
