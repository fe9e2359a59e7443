"""The text that a draft follows and is: a chain of atoms, each with the prefix before it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from draftmesh.core.text import Item, TextPrefix, items_length


def position_of(text: TextPrefix, prefixes: Sequence[TextPrefix]) -> int | None:
    """Index of the last of ``prefixes``, each of which goes on with the one before, that is ``text``; None: none is."""
    position = bisect_right(prefixes, text.length, key=lambda prefix: prefix.length)
    for index in range(position - 1, -1, -1):  # roles have no length: several prefixes may have this one
        if prefixes[index].length != text.length:
            break
        if prefixes[index].hash == text.hash:
            return index
    return None


class Trail:
    """Recent committed atoms, and those that are kept after them."""

    def __init__(self) -> None:
        self._atoms: list[Item] = []
        self._prefixes = [TextPrefix()]  # one before each atom, and one after the last
        self.num_committed = 0
        """Leading atoms that are committed."""

    def __len__(self) -> int:
        """Atoms that are remembered."""
        return len(self._atoms)

    @property
    def committed(self) -> TextPrefix:
        """The committed text."""
        return self._prefixes[self.num_committed]

    @property
    def kept(self) -> list[Item]:
        """The atoms after it."""
        return self._atoms[self.num_committed :]

    @property
    def last(self) -> Item:
        """The newest atom, of at least one."""
        return self._atoms[-1]

    def after(self, position: int) -> list[Item]:
        """The atoms from a position on."""
        return self._atoms[position:]

    def find(self, start: TextPrefix) -> int | None:
        """Index of the last atom before which the text is ``start``: tokens without bytes leave it as it was."""
        return position_of(start, self._prefixes)

    def agrees(self, position: int, said: Sequence[Item]) -> bool:
        """Whether the text from a position on says the same, as far as both go."""
        known = self._atoms[position : position + len(said)]
        return known == list(said[: len(known)])

    def extend(self, atoms: Sequence[Item]) -> None:
        """Append atoms."""
        prefix = self._prefixes[-1]
        for atom in atoms:
            prefix = prefix.extend((atom,))
            self._prefixes.append(prefix)
        self._atoms.extend(atoms)

    def cut(self, position: int) -> int:
        """Drop what comes after so many atoms; its bytes."""
        length = items_length(self._atoms[position:])
        del self._atoms[position:], self._prefixes[position + 1 :]
        return length

    def forget(self, history_atoms: int) -> None:
        """Forget committed atoms that are older than so many."""
        excess = self.num_committed - history_atoms
        if excess > history_atoms:  # twice as long as needed: seldom, so cheap
            del self._atoms[:excess], self._prefixes[:excess]
            self.num_committed -= excess
