"""What a drafter has drawn for the case that the target does not say what its draft says."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.core.text import Item, TextPrefix, items_length


@dataclass(frozen=True, slots=True)
class Branch:
    """A text that parts from the draft."""

    start: TextPrefix
    """The generated text before it."""

    atoms: tuple[Item, ...]

    pauses: bool = False
    """Whether the drafter would not go on with it, either, before another commit."""

    @property
    def length(self) -> int:
        """Bytes of it."""
        return items_length(self.atoms)

    def after(self, settled: Sequence[Item], count: int | None) -> tuple[Item, ...]:
        """What is left of it when ``settled`` is committed, of which ``count`` atoms come before it.

        Nothing is left if it says something else, or no more than that.
        """
        said = tuple(settled[count:]) if count is not None else ()
        return self.atoms[len(said) :] if said and self.atoms[: len(said)] == said else ()


@dataclass(frozen=True, slots=True)
class Taken:
    """A branch that the target has taken."""

    branch: Branch
    rest: tuple[Item, ...]
    """What is left of it, at least an atom."""


class Branches:
    """Of one session's draft; the oldest goes where there are more than ``limit``."""

    def __init__(self, limit: int) -> None:
        self._known: deque[Branch] = deque()
        self._limit = limit

    @property
    def known(self) -> tuple[Branch, ...]:
        """The oldest first."""
        return tuple(self._known)

    def add(self, branch: Branch) -> int:
        """Keep one more; bytes of the one that has to go."""
        self._known.append(branch)
        return self._known.popleft().length if len(self._known) > self._limit else 0

    def remove(self, branch: Branch) -> None:
        """Forget one of them."""
        self._known.remove(branch)

    def taken(self, settled: Sequence[Item], counts: Sequence[int | None]) -> Taken | None:
        """The first branch that goes on after ``settled``, which is not what the draft says; None if none does.

        Args:
            settled: Atoms that are committed.
            counts: For each known branch, how many of them come before it; None if its start is not among them.
        """
        rests = (Taken(branch, branch.after(settled, count)) for branch, count in zip(self._known, counts, strict=True))
        return next((taken for taken in rests if taken.rest), None)

    def advance(self, settled: Sequence[Item], counts: Sequence[int | None], committed: TextPrefix) -> int:
        """Atoms that the draft says too are ``settled``, to the end of ``committed``: keep what may still come true.

        Returns the bytes of what may not.
        """
        wasted = 0
        for _ in range(len(self._known)):
            branch, count = self._known.popleft(), counts[0]
            counts = counts[1:]
            if count is not None and count >= len(settled):
                self._known.append(branch)
            elif rest := branch.after(settled, count):
                self._known.append(Branch(committed, rest, branch.pauses))
            else:
                wasted += branch.length
        return wasted

    def clear(self) -> int:
        """Forget all; how many bytes they had."""
        length = sum(branch.length for branch in self._known)
        self._known.clear()
        return length
