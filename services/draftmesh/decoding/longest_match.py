"""The translation rule of ``slrs``: how the text of a draft is read as target tokens.

The first token is the longest one, of at most ``cap_bytes`` bytes, that the text begins with; then the rest is read.
A token is *settled* when nothing that may follow could change it: the text so far is no beginning of a longer token, or
a role follows. Any fixed rule would be lossless; this one needs few bytes of a draft to settle a token, and agrees
with a tokenizer about most of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.core.protocols import TokenTable
from draftmesh.core.text import TERMINAL_ROLES, Item, Role, text_until_role


@dataclass(frozen=True, slots=True)
class Reading:
    """What a draft settles to so far."""

    ids: tuple[int, ...]
    """Target tokens that no later text changes."""

    missing: bool = False
    """After them the text begins with no token: a proposal that counts as rejected, and nothing after it."""


class LongestMatch:
    """Reads drafts for one target.

    Args:
        table: The target's vocabulary.
        cap_bytes: No token longer than this is read; ≥ 1.
        vocabulary_size: Ids from here on are no tokens of the model; None: all of the table's are.
    """

    def __init__(self, table: TokenTable, cap_bytes: int, vocabulary_size: int | None = None) -> None:
        self._table = table
        self._token_of: dict[bytes, int] = {}
        self._role_ids: dict[Role, int] = {}
        size = len(table) if vocabulary_size is None else min(vocabulary_size, len(table))
        for token in sorted(range(size), key=table.is_fallback):  # of ids with equal bytes, the one that models say
            data, role = table.token_bytes(token), table.role(token)
            if data and len(data) <= cap_bytes:
                self._token_of.setdefault(data, token)
            elif role in TERMINAL_ROLES and role is not None:
                self._role_ids.setdefault(role, token)
        self._readable = frozenset(self._token_of.values()) | frozenset(self._role_ids.values())
        self._longest = max(map(len, self._token_of), default=0)
        self._beginnings = frozenset(data[:end] for data in self._token_of for end in range(1, len(data)))

    def read(self, items: Sequence[Item], *, limit: int) -> Reading:
        """The settled tokens of a draft, ``limit`` of them at most; reading ends at the first role."""
        text, role = text_until_role(items)
        ids: list[int] = []
        position = 0
        while len(ids) < limit and position < len(text):
            rest = text[position : position + self._longest]
            if role is None and position + len(rest) == len(text) and rest in self._beginnings:
                return Reading(tuple(ids))
            token = self._longest_token(rest)
            if token is None:
                return Reading(tuple(ids), missing=True)
            ids.append(token[0])
            position += token[1]
        if len(ids) < limit and role is not None:
            return self._end(ids, role)
        return Reading(tuple(ids))

    def rest(self, items: Sequence[Item], ids: Sequence[int]) -> bytes:
        """The text of a draft after its first tokens ``ids``."""
        text, _ = text_until_role(items)
        return text[sum(len(self._table.token_bytes(token)) for token in ids) :]

    def text(self, ids: Sequence[int]) -> bytes:
        """The text that is read as ``ids``."""
        return b"".join([self._table.token_bytes(token) for token in ids])

    def can_read(self, ids: Sequence[int]) -> bool:
        """Whether there is a draft that is read as ``ids`` (≥ 1) first."""
        if not all(token in self._readable for token in ids):
            return False
        ended = any(self._table.role(token) is not None for token in ids[:-1])
        return not ended and self.can_settle(self.text(ids), ids)

    def can_settle(self, text: bytes, ids: Sequence[int]) -> bool:
        """Whether a draft that begins with ``text``, nothing of it settled, may still be read as ``ids`` first.

        The ids can be read: :meth:`can_read`.
        """
        wanted = self.text(ids)
        overlap = min(len(text), len(wanted))
        if text[:overlap] != wanted[:overlap]:
            return False
        position = 0
        for token in ids:
            length = len(self._table.token_bytes(token))
            found = self._longest_token(text[position : position + self._longest])
            if found is not None and found[1] > length:
                return False
            position += length
        return len(text) <= len(wanted) or self._table.role(ids[-1]) is None

    def _longest_token(self, text: bytes) -> tuple[int, int] | None:
        """The longest token that ``text`` begins with, and its length."""
        for length in range(len(text), 0, -1):
            token = self._token_of.get(text[:length])
            if token is not None:
                return token, length
        return None

    def _end(self, ids: list[int], role: Role) -> Reading:
        token = self._role_ids.get(role)
        return Reading(tuple(ids), missing=True) if token is None else Reading((*ids, token))
