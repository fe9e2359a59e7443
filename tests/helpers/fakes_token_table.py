"""A vocabulary written down as a list, for tests of what needs a TokenTable alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from draftmesh.core.text import Role


class FakeTokenTable:
    """A TokenTable whose entry for each id is its bytes, its role, or None for a hole; ``fallback``: byte pieces."""

    def __init__(self, entries: Sequence[bytes | Role | None], fallback: Collection[int] = ()) -> None:
        self._entries = tuple(entries)
        self._fallback = frozenset(fallback)

    def __len__(self) -> int:
        return len(self._entries)

    def token_bytes(self, token: int) -> bytes:
        """The entry, if it is bytes."""
        entry = self._entries[token]
        return entry if isinstance(entry, bytes) else b""

    def role(self, token: int) -> Role | None:
        """The entry, if it is a role."""
        entry = self._entries[token]
        return entry if isinstance(entry, Role) else None

    def is_fallback(self, token: int) -> bool:
        """Whether it was named as a byte piece."""
        return token in self._fallback


def text_of(table: FakeTokenTable, ids: Sequence[int]) -> bytes:
    """The bytes of ``ids``."""
    return b"".join(table.token_bytes(token) for token in ids)
