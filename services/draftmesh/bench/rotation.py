"""Who goes first changes from turn to turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def rotated(ways: Sequence[T], turn: int) -> tuple[T, ...]:
    """All of them, in their order, but for the ``turn``-th beginning: the one after the last is the first again."""
    first = turn % max(1, len(ways))
    return (*ways[first:], *ways[:first])
