"""Text as a sequence of symbols, so that bytes and roles are compared and cut in one way.

A symbol is an int: 0 to 255 is that byte, 256 + r is the role r. The wire speaks of items; inside the drafter's chain
an item that a commit cuts in two is a matter of slicing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from draftmesh.core.text import Item, Role, join_items

_ROLE_BASE = 256


def to_symbols(items: Iterable[Item]) -> tuple[int, ...]:
    """The symbols of ``items``, in order."""
    symbols: list[int] = []
    for item in items:
        if isinstance(item, bytes):
            symbols.extend(item)
        else:
            symbols.append(_ROLE_BASE + int(item))
    return tuple(symbols)


def to_items(symbols: Sequence[int]) -> tuple[Item, ...]:
    """The same text as items; neighbouring bytes are joined."""
    return join_items([bytes((s,)) if s < _ROLE_BASE else Role(s - _ROLE_BASE) for s in symbols])
