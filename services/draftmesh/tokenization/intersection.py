"""The intersection of two vocabularies, by bytes and roles.

Spelling says nothing across tokenizer families: a newline is ``Ċ``, ``<0x0A>`` or itself. So tokens are shared if their
bytes are equal, and special tokens if they end a text in the same role; other special tokens are never proposed.
"""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.protocols import TokenTable
from draftmesh.core.text import TERMINAL_ROLES, Item


@dataclass(frozen=True, slots=True)
class Intersection:
    """The target tokens that a drafter can propose one to one."""

    target_ids: tuple[int, ...]
    """Shared target tokens, ascending."""

    drafter_ids: tuple[tuple[int, ...], ...]
    """For each, the drafter's tokens of the same bytes or role: their masses add up. The first is the one to write."""

    def __len__(self) -> int:
        """Number of shared target tokens."""
        return len(self.target_ids)


def intersect(
    target: TokenTable, drafter: TokenTable, *, target_rows: int | None = None, drafter_rows: int | None = None
) -> Intersection:
    """The intersection of two vocabularies.

    Where several ids of one vocabulary have the same bytes, one that is no byte piece comes first, then the lowest: it
    is the one that tokenizers use, and the only one of a target that is proposed.

    Args:
        target: The target's vocabulary.
        drafter: The drafter's.
        target_rows: Ids from here on have no row in the target's head; None: all have one.
        drafter_rows: The same for the drafter.
    """
    own = _by_item(drafter, drafter_rows)
    wanted = {ids[0]: item for item, ids in _by_item(target, target_rows).items() if item in own}
    ordered = sorted(wanted)
    return Intersection(tuple(ordered), tuple(own[wanted[token]] for token in ordered))


def _by_item(table: TokenTable, rows: int | None) -> dict[Item, tuple[int, ...]]:
    """Ids by what they stand for, the one to write first; tokens that cannot be proposed are left out."""
    size = len(table) if rows is None else min(rows, len(table))
    found: dict[Item, list[int]] = {}
    for token in sorted(range(size), key=table.is_fallback):
        role = table.role(token)
        item: Item = table.token_bytes(token) if role is None else role
        if item in TERMINAL_ROLES or (isinstance(item, bytes) and item):
            found.setdefault(item, []).append(token)
    return {item: tuple(ids) for item, ids in found.items()}
