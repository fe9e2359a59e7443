"""What a drafter has drawn for the case that the target does not say what its draft says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from draftmesh.core.text import Item, TextPrefix, items_length


@dataclass(frozen=True, slots=True)
class Branch:
    """A text that parts from the draft."""

    start: TextPrefix
    """The generated text before it."""

    atoms: tuple[Item, ...]

    @property
    def length(self) -> int:
        """Bytes of it."""
        return items_length(self.atoms)


class Branches:
    """Of one session's draft."""

    def __init__(self) -> None:
        self._known: list[Branch] = []

    @property
    def length(self) -> int:
        """Bytes of all of them."""
        return sum(branch.length for branch in self._known)

    def add(self, branch: Branch) -> None:
        """Keep one more."""
        self._known.append(branch)

    def after(self, settled: Sequence[Item], parts_at: Callable[[TextPrefix], int | None]) -> tuple[Item, ...]:
        """What follows the ``settled`` atoms in a branch that they have taken; nothing if they have taken none.

        Args:
            settled: Committed, and not what the draft says.
            parts_at: How many of these atoms come before a text's end; None if it does not lie on them and the draft.
        """
        for branch in self._known:
            count = parts_at(branch.start)
            taken = None if count is None else tuple(settled[count:])
            if taken and branch.atoms[: len(taken)] == taken:
                return branch.atoms[len(taken) :]
        return ()

    def forget(self, committed_bytes: int) -> int:
        """Forget those that begin before so many bytes; how many they had themselves."""
        past = [branch for branch in self._known if branch.start.length < committed_bytes]
        self._known = [branch for branch in self._known if branch.start.length >= committed_bytes]
        return sum(branch.length for branch in past)

    def clear(self) -> int:
        """Forget all; how many bytes they had."""
        length = self.length
        self._known.clear()
        return length
