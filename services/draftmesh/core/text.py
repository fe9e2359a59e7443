"""Text as the wire sees it: bytes and roles, named by length and rolling hash.

A session's generated text is a byte string; the *byte offset* from its start is the one coordinate that drafter,
coordinator and verifier share. Special tokens have no bytes: they travel as a :class:`Role`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class Role(enum.IntEnum):
    """What a special token means, whatever its spelling. Values equal the wire's enum."""

    BOS = 1
    EOS = 2
    END_OF_TURN = 3
    PAD = 4
    UNK = 5


TERMINAL_ROLES = frozenset({Role.EOS, Role.END_OF_TURN})
"""Roles that end a generation unless the caller ignores them."""

Item = bytes | Role
"""One piece of text on the wire: raw bytes (not necessarily whole characters), or a role."""

_MODULUS = (1 << 64) - 59  # the largest 64-bit prime; 256 has a large order modulo it
_ROLE_BASE = 0x1_0000_0001  # no sequence of bytes multiplies by this


@dataclass(frozen=True, slots=True)
class TextPrefix:
    """A text named by its length in bytes and a rolling hash of its content, roles included.

    The hash does not depend on how the text was cut into pieces. It is a fingerprint against accidents (two drafts
    of equal length), not against an adversary; methods that trust it for more are limited to trusted pools.
    """

    length: int = 0
    """Bytes of text; roles add nothing."""

    hash: int = 1
    """Polynomial hash modulo 2**64 - 59, of the bytes as base-256 digits."""

    def extend(self, items: Iterable[Item]) -> TextPrefix:
        """The prefix after ``items``."""
        length, value = self.length, self.hash
        for item in items:
            if isinstance(item, bytes):
                value = ((value << (8 * len(item))) + int.from_bytes(item, "big")) % _MODULUS
                length += len(item)
            else:
                value = (value * _ROLE_BASE + int(item)) % _MODULUS
        return TextPrefix(length, value)


@dataclass(frozen=True, slots=True)
class TokenPrefix:
    """Generated token ids (the prompt is not part of them), named by their number and a rolling hash."""

    length: int = 0
    """Generated tokens."""

    hash: int = 1
    """Polynomial hash modulo 2**64 - 59, of the ids as base-2**32 digits."""

    def extend(self, ids: Iterable[int]) -> TokenPrefix:
        """The prefix after ``ids``."""
        length, value = self.length, self.hash
        for token in ids:
            value = ((value << 32) + token + 1) % _MODULUS
            length += 1
        return TokenPrefix(length, value)


def items_length(items: Iterable[Item]) -> int:
    """Bytes of text in ``items``."""
    return sum(len(item) for item in items if isinstance(item, bytes))


def text_until_role(items: Iterable[Item]) -> tuple[bytes, Role | None]:
    """The text before the first role, and that role; None if there is none."""
    pieces: list[bytes] = []
    for item in items:
        if isinstance(item, Role):
            return b"".join(pieces), item
        pieces.append(item)
    return b"".join(pieces), None


def join_items(items: Sequence[Item]) -> tuple[Item, ...]:
    """The same text with neighbouring byte pieces joined and empty ones dropped."""
    joined: list[Item] = []
    for item in items:
        if item == b"":
            continue
        last = joined[-1] if joined else None
        if isinstance(item, bytes) and isinstance(last, bytes):
            joined[-1] = last + item
        else:
            joined.append(item)
    return tuple(joined)
