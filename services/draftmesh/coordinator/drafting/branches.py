"""What a drafter has drawn for the case that the target does not say what its draft says.

A branch parts from the draft, from another branch, or goes on where one of them ends. It is kept as all of the text
that follows what is committed, so that nothing that happens to the others changes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from draftmesh.coordinator.drafting.trail import position_of
from draftmesh.core.text import Item, TextPrefix, join_items


@dataclass(frozen=True, slots=True)
class Branch:
    """A text that the target may say next."""

    path: tuple[Item, ...]
    """All of its atoms after what is committed."""

    prefixes: tuple[TextPrefix, ...]
    """The text before each of the last ones, which are its own, and after them."""

    pauses: bool
    """Whether the drafter would not go on with it, either, before another commit."""

    text: tuple[Item, ...]
    """The path, neighbouring bytes joined: it is looked at often."""

    @classmethod
    def of(cls, before: Sequence[Item], start: TextPrefix, own: Sequence[Item], *, pauses: bool) -> Branch:
        """With ``own`` atoms after those ``before``, which end with ``start``."""
        path, prefixes = (*before, *own), accumulate(own, lambda prefix, atom: prefix.extend((atom,)), initial=start)
        return cls(path, tuple(prefixes), pauses, join_items(path))

    @property
    def num_own(self) -> int:
        """Its own atoms."""
        return len(self.prefixes) - 1

    @property
    def start(self) -> int:
        """Atoms before its own."""
        return len(self.path) - self.num_own

    @property
    def length(self) -> int:
        """Bytes of its own."""
        return self.prefixes[-1].length - self.prefixes[0].length

    def until(self, text: TextPrefix) -> tuple[Item, ...] | None:
        """The atoms before a place among its own; None if ``text`` does not end there."""
        position = position_of(text, self.prefixes)
        return None if position is None else self.path[: self.start + position]

    def follows(self, atoms: Sequence[Item]) -> bool:
        """Whether it says these first, and more."""
        return len(self.path) > len(atoms) and self.path[: len(atoms)] == tuple(atoms)

    def after(self, settled: Sequence[Item]) -> Branch:
        """What is left of it when these are committed, which it says first."""
        path, passed = self.path[len(settled) :], max(0, len(settled) - self.start)
        return Branch(path, self.prefixes[passed:], self.pauses, join_items(path))


class Branches:
    """Of one session's draft; the oldest goes where there are more than ``limit``."""

    def __init__(self, limit: int) -> None:
        self._known: deque[Branch] = deque()
        self._limit = limit

    @property
    def known(self) -> tuple[Branch, ...]:
        """The oldest first: those of a branch come after it."""
        return tuple(self._known)

    def add(self, branch: Branch) -> int:
        """Keep one more; bytes of the one that has to go."""
        self._known.append(branch)
        return self._known.popleft().length if len(self._known) > self._limit else 0

    def path_to(self, text: TextPrefix) -> tuple[Item, ...] | None:
        """The atoms after what is committed up to the end of ``text``; None if no branch says it."""
        paths = (branch.until(text) for branch in reversed(self._known))
        return next((path for path in paths if path is not None), None)

    def settle(self, settled: Sequence[Item]) -> int:
        """Atoms are committed: keep what goes on after them. Returns the bytes of what does not."""
        known, self._known = self._known, deque()
        wasted = 0
        for branch in known:
            if branch.follows(settled):
                self._known.append(branch.after(settled))
            else:
                wasted += branch.length
        return wasted

    def take_first(self) -> Branch | None:
        """Remove the oldest one; None if there is none."""
        return self._known.popleft() if self._known else None

    def take_after(self, draft: Sequence[Item]) -> Branch | None:
        """Remove the oldest one that begins where ``draft``, after what is committed, ends; None if none does."""
        found = (branch for branch in self._known if branch.start == len(draft) and branch.follows(draft))
        branch = next(found, None)
        if branch is not None:
            self._known.remove(branch)
        return branch

    def clear(self) -> int:
        """Forget all; how many bytes they had."""
        length = sum(branch.length for branch in self._known)
        self._known.clear()
        return length
