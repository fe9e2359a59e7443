"""Drafts of ``slrs``: one block of target tokens at each base, of use only when it is whole.

A block has as many tokens as were asked for; fewer only where the drafted text ends with a terminal role, or where
the translation rule reads nothing. So that no position is left out for what it says, nothing of a block goes out
before it is whole, and a whole block stays until its base has been settled, whatever becomes of its drafter.
"""

from __future__ import annotations

from collections.abc import Sequence

from draftmesh.coordinator.drafting.drafts import BranchDraft, Draft, KnownDraft, check_ids
from draftmesh.core.draft import Block
from draftmesh.core.errors import MalformedBlockError
from draftmesh.core.evidence import PsiEvidence
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import Method
from draftmesh.core.text import TERMINAL_ROLES, Item, TextPrefix, items_length


class BlockDrafts:
    """Satisfies ``drafts.Drafts``."""

    def __init__(self, table: TokenTable) -> None:
        """Keep blocks of tokens of the target's ``table``."""
        self._table = table
        self._base = TextPrefix()
        self._items: list[Item] = []
        self._ids: list[int] = []
        self._psi: list[float] = []
        self._missing = False
        self._asked_tokens = 0
        self._block_tokens = 0
        self._newest_commit = 0
        self._awaits_commit = False  # the drafter has yet to be told of this base: what it sends is of the one before
        self._wasted_bytes = 0

    @property
    def base(self) -> TextPrefix:
        """The committed text, which the block follows."""
        return self._base

    @property
    def ended(self) -> bool:
        """Whether the block is whole."""
        is_full = bool(self._ids) and len(self._ids) >= self._block_tokens
        return self._missing or is_full or (bool(self._items) and self._items[-1] in TERMINAL_ROLES)

    def read(self, *, ended: bool) -> KnownDraft:
        """The block, if it is whole."""
        del ended
        if not self.ended:
            return KnownDraft()
        return KnownDraft(Draft(tuple(self._ids), PsiEvidence(tuple(self._psi), self._missing)))

    def branches(self) -> Sequence[BranchDraft]:
        """There are none."""
        return ()

    def settle(self, ids: Sequence[int], items: Sequence[Item]) -> bool:
        """The base's block has been judged; the next one begins after these tokens, and none goes on."""
        del ids
        self._base = self._base.extend(items)
        self._awaits_commit = True
        self._begin_block()
        return False

    def offer(self, block: Block) -> bool:
        """Keep what ``block`` adds, if it belongs to this base and what is known of its block."""
        check_ids(block, Method.SLRS, self._table)
        if block.commit_seq > self._newest_commit:
            raise MalformedBlockError(f"block drawn under commit {block.commit_seq}, of {self._newest_commit}")
        is_next = (
            not self._awaits_commit
            and block.commit_seq == self._newest_commit
            and block.start == self._base.extend(self._items)
        )
        if self.ended or not is_next:
            self._wasted_bytes += block.length
            return False
        self._check_length(block)
        assert isinstance(block.evidence, PsiEvidence), "checked"
        self._items += block.items
        self._ids += block.target_ids
        self._psi += block.evidence.values
        self._missing = block.evidence.missing_next
        return True

    def restart(self, max_ahead_tokens: int, *, is_behind: bool) -> None:
        """A stream begins: it draws the base's block from its start, which is wanted unless that is whole already."""
        self._newest_commit, self._asked_tokens = 0, max_ahead_tokens
        self._awaits_commit = is_behind
        if not self.ended:
            self._wasted_bytes += items_length(self._items)
            self._begin_block()

    def note_commit(self, commit_seq: int) -> None:
        """A commit has been sent on the stream."""
        self._newest_commit = commit_seq
        self._awaits_commit = False

    def take_wasted_bytes(self) -> int:
        """Bytes of draft thrown away without being judged since the last call."""
        wasted, self._wasted_bytes = self._wasted_bytes, 0
        return wasted

    def _check_length(self, block: Block) -> None:
        if len(self._ids) + len(block.target_ids) > self._block_tokens:
            raise MalformedBlockError(f"a block has {self._block_tokens} tokens, the drafter sends more")
        if any(item in TERMINAL_ROLES for item in block.items[:-1]):
            raise MalformedBlockError("the drafter goes on after the end of the text")

    def _begin_block(self) -> None:
        self._block_tokens = self._asked_tokens
        self._items.clear()
        self._ids.clear()
        self._psi.clear()
        self._missing = False
