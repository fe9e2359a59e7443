"""What is kept of a drafter's stream: the draft text that follows the committed text.

A block is kept if and only if its start prefix (length and hash) lies on the text that is committed and kept already,
whatever commit its drafter had seen; the part of it that overlaps must say the same and is trimmed. So a Commit that
agrees with the draft costs nothing that is in flight, and a block from before a disagreement can do no harm.

Beside the draft there are *branches*: what the drafter has drawn for the case that the target parts from the draft. If
the target takes one, the rest of it is the draft at once, as a guess: the drafter, once it has heard of the commit, may
say something else, and then it is right.

The text is a chain of *atoms*: bytes and roles, or whole tokens where it matters how a text is cut into them. Prefixes
of recent atoms are remembered, so that a block that starts in the past is judged too.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import partial

from draftmesh.coordinator.drafting.branches import Branch, Branches
from draftmesh.coordinator.drafting.flow import BlockFlow, DraftLimits
from draftmesh.core.draft import Block
from draftmesh.core.errors import MalformedBlockError
from draftmesh.core.text import TERMINAL_ROLES, Item, TextPrefix, items_length, join_items


class _Guess(enum.Enum):
    NONE = enum.auto()
    UNTOLD = enum.auto()  # the drafter has not been told yet that the target has parted from its draft
    TOLD = enum.auto()


class DraftBuffer:
    """The committed text's recent end and the draft that continues it."""

    def __init__(self, limits: DraftLimits, *, by_token: bool = False) -> None:
        """Keep drafts within ``limits``; ``by_token``: two texts agree only if they are cut into tokens alike."""
        self._limits = limits
        self._flow = BlockFlow(limits)
        self._by_token = by_token
        self._atoms: list[Item] = []
        self._prefixes = [TextPrefix()]  # one before each atom, and one after the last
        self._num_committed = 0  # leading atoms that are committed
        self._wasted_bytes = 0
        self._paused = False
        self._branches = Branches()
        self._guess = _Guess.NONE
        self._guessed_under = 0  # the commit that tells the drafter of the parting which the guess is about

    @property
    def committed(self) -> TextPrefix:
        """The committed text."""
        return self._prefixes[self._num_committed]

    @property
    def draft(self) -> tuple[Item, ...]:
        """The text after the committed text, neighbouring bytes joined."""
        return join_items(self._atoms[self._num_committed :])

    @property
    def kept(self) -> int:
        """Atoms of the draft."""
        return len(self._atoms) - self._num_committed

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return self.kept == 0

    @property
    def is_guess(self) -> bool:
        """Whether what is kept is a branch that the target has taken, and the drafter has not been heard since."""
        return self._guess is not _Guess.NONE and not self.is_empty

    @property
    def is_paused(self) -> bool:
        """Whether the drafter sends no more before the next commit."""
        return self._paused

    @property
    def ended(self) -> bool:
        """Whether no more text will follow what is kept before the next commit."""
        return self._paused or self._ends_in_terminal_role()

    def take_wasted_bytes(self) -> int:
        """Bytes of draft thrown away since the last call."""
        wasted, self._wasted_bytes = self._wasted_bytes, 0
        return wasted

    def restart(self) -> None:
        """Another drafter's stream begins: it has applied nothing but its Open, and its draft is its own."""
        self._drop()
        self._wasted_bytes += self._branches.clear()
        self._flow.restart()

    def note_commit(self, commit_seq: int) -> None:
        """A commit has been sent to the drafter: a pause that it announced before is over."""
        self._flow.note_commit(commit_seq)
        self._paused = False
        if self._guess is _Guess.UNTOLD:
            self._guess, self._guessed_under = _Guess.TOLD, commit_seq

    def settle(self, items: Iterable[Item]) -> bool:
        """The target has committed ``items``: trim the draft if it says the same, else drop it.

        Returns:
            Whether the draft and the items say the same as far as both go.
        """
        settled = self._cut(items)
        kept = self._atoms[self._num_committed :]
        overlap = min(len(settled), len(kept))
        agrees = kept[:overlap] == settled[:overlap]
        branch = () if agrees else self._branches.after(settled, partial(self._parts_at, settled, kept))
        if not agrees:
            self._drop()
            overlap = 0
        self._extend(settled[overlap:])
        self._num_committed += len(settled)
        self._take_branch(branch, agrees=agrees)
        self._paused = False  # the commit that follows lets the drafter go on
        self._forget_old()
        return agrees

    def offer(self, block: Block) -> bool:
        """Keep what ``block`` adds to the draft; False if it does not continue what is committed and kept.

        Raises:
            MalformedBlockError: the drafter contradicts itself or floods.
        """
        self._flow.check(block)
        position = self._find(block.start)
        said = self._cut(block.items)
        if block.is_branch:
            return self._offer_branch(block, position, said)
        if position is not None and self._is_overruled(block):
            self._cut_back(position, said)
        if position is None or not self._agrees(position, said):
            self._wasted_bytes += block.length
            return False
        fresh = said[len(self._atoms) - position :]
        if items_length(self._atoms[self._num_committed :]) + items_length(fresh) > self._limits.max_kept_bytes:
            raise MalformedBlockError(f"the drafter floods: over {self._limits.max_kept_bytes} bytes of draft")
        self._extend(fresh)
        reaches_end = position + len(said) == len(self._atoms)
        if reaches_end:
            self._guess = _Guess.NONE
        self._paused = block.paused and reaches_end and block.commit_seq == self._flow.newest_commit
        return True

    def refuse(self, block: Block) -> None:
        """Check ``block`` and throw it away; raises as :meth:`offer`."""
        self._flow.check(block)
        self._wasted_bytes += block.length

    def _offer_branch(self, block: Block, position: int | None, said: Sequence[Item]) -> bool:
        """Keep a branch of what is kept."""
        if position is None or position < self._num_committed:
            self._wasted_bytes += block.length
            return False
        if self._branches.length + block.length > self._limits.max_kept_bytes:
            raise MalformedBlockError(f"the drafter floods: over {self._limits.max_kept_bytes} bytes of branches")
        self._branches.add(Branch(block.start, tuple(said)))
        return True

    def _parts_at(self, settled: Sequence[Item], kept: Sequence[Item], start: TextPrefix) -> int | None:
        """How many settled atoms come before ``start``, if the draft says the same as far as that."""
        position = self._find(start)
        count = -1 if position is None else position - self._num_committed
        return count if count >= 0 and kept[:count] == settled[:count] else None

    def _take_branch(self, branch: Sequence[Item], *, agrees: bool) -> None:
        """Go on with what follows in the branch that the target has taken, if it has taken one."""
        self._extend(branch)
        self._guess = _Guess.UNTOLD if branch else _Guess.NONE
        past = self._branches.forget(self.committed.length) if agrees else self._branches.clear()
        self._wasted_bytes += past

    def _is_overruled(self, block: Block) -> bool:
        """Whether a block says more than what is guessed: its drafter knows of the parting."""
        return self._guess is _Guess.TOLD and block.commit_seq >= self._guessed_under

    def _cut_back(self, position: int, said: Sequence[Item]) -> None:
        """Drop what is kept from where it is not what was ``said``."""
        known = self._atoms[position:]
        parts = next((index for index, (own, other) in enumerate(zip(known, said, strict=False)) if own != other), None)
        if parts is None or position + parts < self._num_committed:
            return
        self._wasted_bytes += items_length(known[parts:])
        del self._atoms[position + parts :], self._prefixes[position + parts + 1 :]
        self._guess = _Guess.NONE

    def _find(self, start: TextPrefix) -> int | None:
        """Index of the last atom before which the text is ``start``: tokens without bytes leave it as it was."""
        position = bisect_right(self._prefixes, start.length, key=lambda prefix: prefix.length)
        for index in range(position - 1, -1, -1):  # roles have no length: several prefixes may have this one
            if self._prefixes[index].length != start.length:
                break
            if self._prefixes[index].hash == start.hash:
                return index
        return None

    def _agrees(self, position: int, said: Sequence[Item]) -> bool:
        known = self._atoms[position : position + len(said)]
        return known == said[: len(known)]

    def _cut(self, items: Iterable[Item]) -> list[Item]:
        """The atoms of ``items``, one item a token."""
        if self._by_token:
            return list(items)
        return [atom for item in items for atom in (_single_bytes(item) if isinstance(item, bytes) else (item,))]

    def _extend(self, atoms: Sequence[Item]) -> None:
        prefix = self._prefixes[-1]
        for atom in atoms:
            prefix = prefix.extend((atom,))
            self._prefixes.append(prefix)
        self._atoms.extend(atoms)

    def _drop(self) -> None:
        """Forget the draft."""
        self._wasted_bytes += items_length(self.draft)
        del self._atoms[self._num_committed :]
        del self._prefixes[self._num_committed + 1 :]
        self._paused = False

    def _forget_old(self) -> None:
        excess = self._num_committed - self._limits.history_atoms
        if excess > self._limits.history_atoms:  # twice as long as needed: seldom, so cheap
            del self._atoms[:excess], self._prefixes[:excess]
            self._num_committed -= excess

    def _ends_in_terminal_role(self) -> bool:
        return not self.is_empty and self._atoms[-1] in TERMINAL_ROLES


def _single_bytes(text: bytes) -> Iterable[bytes]:
    return (text[index : index + 1] for index in range(len(text)))
