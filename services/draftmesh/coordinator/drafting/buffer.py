"""What is kept of a drafter's stream: the draft text that follows the committed text.

A block is kept if and only if its start prefix (length and hash) lies on the text that is committed and kept already,
whatever commit its drafter had seen; the part of it that overlaps must say the same and is trimmed. So a Commit that
agrees with the draft costs nothing that is in flight, and a block from before a disagreement can do no harm.

Beside the draft there are *branches*: what the drafter has drawn for the case that the target parts from the draft, or
says all of a draft that has paused; and branches of those. If the target takes one, the rest of it is the draft at
once, as a guess: what the drafter says itself after the same text takes its place.

The text is a chain of *atoms*: bytes and roles, or whole tokens where it matters how a text is cut into them. Prefixes
of recent atoms are remembered, so that a block that starts in the past is judged too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from draftmesh.coordinator.drafting.branches import Branch, Branches
from draftmesh.coordinator.drafting.flow import BlockFlow, DraftLimits
from draftmesh.coordinator.drafting.trail import Trail
from draftmesh.core.draft import Block
from draftmesh.core.errors import MalformedBlockError
from draftmesh.core.text import TERMINAL_ROLES, Item, TextPrefix, items_length, join_items


class DraftBuffer:
    """The committed text's recent end and the draft that continues it."""

    def __init__(self, limits: DraftLimits, *, by_token: bool = False) -> None:
        """Keep drafts within ``limits``; ``by_token``: two texts agree only if they are cut into tokens alike."""
        self._limits = limits
        self._flow = BlockFlow(limits)
        self._by_token = by_token
        self._trail = Trail()
        self._branches = Branches(limits.max_branches)
        self._wasted_bytes = 0
        self._paused = False
        self._is_guess = self._guess_pauses = False

    @property
    def committed(self) -> TextPrefix:
        """The committed text."""
        return self._trail.committed

    @property
    def draft(self) -> tuple[Item, ...]:
        """The text after the committed text, neighbouring bytes joined."""
        return join_items(self._trail.kept)

    @property
    def branches(self) -> tuple[tuple[tuple[Item, ...], bool], ...]:
        """For each that may still be taken, the text after the committed text that takes it, and whether it pauses."""
        return tuple((branch.text, branch.pauses) for branch in self._branches.known)

    @property
    def kept(self) -> int:
        """Atoms of the draft."""
        return len(self._trail) - self._trail.num_committed

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return self.kept == 0

    @property
    def is_guess(self) -> bool:
        """Whether what is kept is a branch that the target has taken, and has not been said by the drafter since."""
        return self._is_guess and not self.is_empty

    @property
    def is_paused(self) -> bool:
        """Whether the drafter sends no more before the next commit."""
        return self._paused

    @property
    def ended(self) -> bool:
        """Whether no more text will follow what is kept before the next commit."""
        pauses = self._paused or (self.is_guess and self._guess_pauses)
        return pauses or (not self.is_empty and self._trail.last in TERMINAL_ROLES)

    def take_wasted_bytes(self) -> int:
        """Bytes of draft thrown away since the last call."""
        wasted, self._wasted_bytes = self._wasted_bytes, 0
        return wasted

    def restart(self) -> None:
        """Another drafter's stream begins: it has applied nothing but its Open, and its draft is its own."""
        self._drop(self._trail.num_committed)
        self._wasted_bytes += self._branches.clear()
        self._flow.restart()

    def note_commit(self, commit_seq: int) -> None:
        """A commit has been sent to the drafter: a pause that it announced before is over."""
        self._flow.note_commit(commit_seq)
        self._paused = False

    def settle(self, items: Iterable[Item]) -> bool:
        """The target has committed ``items``: trim the draft if it says the same, else drop it.

        Returns:
            Whether the draft and the items say the same as far as both go.
        """
        settled, start = self._cut(items), self._trail.num_committed
        agrees = self._trail.agrees(start, settled)
        if not agrees:
            self._drop(start)
        self._trail.extend(settled[self.kept :])
        self._trail.num_committed += len(settled)
        self._wasted_bytes += self._branches.settle(settled)
        self._guess_pauses = False
        self._guess(self._branches.take_after(self._trail.kept) if agrees else self._branches.take_first())
        self._paused = False  # the commit that follows lets the drafter go on
        self._trail.forget(self._limits.history_atoms)
        return agrees

    def offer(self, block: Block) -> bool:
        """Keep what ``block`` adds to the draft; False if it does not continue what is committed and kept.

        Raises:
            MalformedBlockError: the drafter contradicts itself or floods.
        """
        self._flow.check(block)
        said = self._cut(block.items)
        if block.is_branch:
            return self._offer_branch(block, said)
        position = self._trail.find(block.start)
        if position is not None and self._is_guess:
            self._overrule(position, said)
        if position is None or not self._trail.agrees(position, said):
            self._wasted_bytes += block.length
            return False
        self._keep(fresh := said[len(self._trail) - position :])
        self._guess_pauses = self._guess_pauses and not fresh
        reaches_end = position + len(said) == len(self._trail)
        is_newest = block.commit_seq == self._flow.newest_commit
        # Of a guess the drafter may not say all: what it has not said by a pause it will not say.
        self._paused = block.paused and (reaches_end or self._is_guess) and is_newest
        self._is_guess = self._is_guess and not reaches_end
        return True

    def refuse(self, block: Block) -> None:
        """Check ``block`` and throw it away; raises as :meth:`offer`."""
        self._flow.check(block)
        self._wasted_bytes += block.length

    def _keep(self, fresh: Sequence[Item]) -> None:
        if items_length(self._trail.kept) + items_length(fresh) > self._limits.max_kept_bytes:
            raise MalformedBlockError(f"the drafter floods: over {self._limits.max_kept_bytes} bytes of draft")
        self._trail.extend(fresh)

    def _offer_branch(self, block: Block, said: Sequence[Item]) -> bool:
        """Keep a branch of what is known; or go on with it at once, if what it was drawn for has come true already."""
        branch = self._branch_of(block, said)
        if branch is None or items_length(branch.path) > self._limits.max_kept_bytes:
            self._wasted_bytes += block.length
            return False
        is_taken = self.is_empty and branch.num_own < len(said)
        is_behind = not self.ended and block.commit_seq < self._flow.newest_commit
        if branch.follows(self._trail.kept) and (is_taken or (is_behind and branch.start == self.kept)):
            self._guess(branch)
        else:
            self._wasted_bytes += self._branches.add(branch)
        return True

    def _branch_of(self, block: Block, said: Sequence[Item]) -> Branch | None:
        """What a block says beyond the committed text; None if it says nothing or something else, or begins nowhere."""
        position, committed = self._trail.find(block.start), self._trail.num_committed
        past: list[Item] = []
        if position is None:
            before = self._branches.path_to(block.start)
        else:
            past = self._trail.after(position)[: max(0, committed - position)]
            before = tuple(self._trail.kept[: max(0, position - committed)])
        own = said[len(past) :]
        if before is None or not own or not block.length or list(said[: len(past)]) != past:
            return None
        return Branch.of(before, block.start.extend(past), own, pauses=block.paused)

    def _guess(self, branch: Branch | None) -> None:
        """What is kept goes on with what a branch says, and that with another one unless it pauses there."""
        while branch is not None:
            self._keep(branch.path[self.kept :])
            self._is_guess, self._guess_pauses = True, branch.pauses
            branch = None if branch.pauses else self._branches.take_after(self._trail.kept)

    def _overrule(self, position: int, said: Sequence[Item]) -> None:
        """Drop what is guessed from where the drafter itself says something else."""
        pairs = enumerate(zip(self._trail.after(position), said, strict=False), position)
        parts = next((index for index, (own, other) in pairs if own != other), None)
        if parts is not None and parts >= self._trail.num_committed:
            self._drop(parts)

    def _cut(self, items: Iterable[Item]) -> list[Item]:
        """The atoms of ``items``, one item a token."""
        if self._by_token:
            return list(items)
        return [atom for item in items for atom in (_single_bytes(item) if isinstance(item, bytes) else (item,))]

    def _drop(self, position: int) -> None:
        """Forget the draft from a position on."""
        self._wasted_bytes += self._trail.cut(position)
        self._paused = self._is_guess = False


def _single_bytes(text: bytes) -> Iterable[bytes]:
    return (text[index : index + 1] for index in range(len(text)))
