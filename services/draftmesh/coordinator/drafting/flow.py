"""What a drafter may send on its stream, and in which order; whoever breaks it loses the stream."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.draft import Block
from draftmesh.core.errors import MalformedBlockError


@dataclass(frozen=True, slots=True)
class DraftLimits:
    """What a drafter may send; one that exceeds it is dropped."""

    max_ahead_tokens: int
    """Draft tokens beyond a commit."""

    max_kept_bytes: int = 1 << 16
    """Draft text that is kept at most."""

    max_branches: int = 64
    """Branches under one commit."""

    history_atoms: int = 4096
    """How far back a block's start is still looked up."""

    @property
    def tokens_per_commit(self) -> int:
        """Draft tokens under one commit at most: a drafter that starts afresh may say its draft twice."""
        return 2 * self.max_ahead_tokens


class BlockFlow:
    """The blocks of one stream."""

    def __init__(self, limits: DraftLimits) -> None:
        """Of a stream that has had nothing but its Open."""
        self._limits = limits
        self.newest_commit = 0
        """The newest that was sent to the drafter."""

        self._drawn_under = 0  # the commit that the drafter had applied for its last block
        self._tokens_under = 0  # draft tokens since it applied that commit
        self._branches_under = 0

    def restart(self) -> None:
        """Another drafter's stream begins."""
        self.newest_commit = self._drawn_under = self._tokens_under = self._branches_under = 0

    def note_commit(self, commit_seq: int) -> None:
        """A commit has been sent to the drafter."""
        self.newest_commit = commit_seq

    def check(self, block: Block) -> None:
        """Count a block.

        Raises:
            MalformedBlockError: its drafter contradicts itself or floods.
        """
        if block.length > self._limits.max_kept_bytes:
            raise MalformedBlockError(f"the drafter floods: a block of {block.length} bytes")
        if not self._drawn_under <= block.commit_seq <= self.newest_commit:
            raise MalformedBlockError(
                f"block drawn under commit {block.commit_seq}, after one under {self._drawn_under}; "
                f"the newest commit is {self.newest_commit}"
            )
        if block.commit_seq > self._drawn_under:
            self._drawn_under, self._tokens_under, self._branches_under = block.commit_seq, 0, 0
        if block.is_branch:
            self._count_branch(block)
        else:
            self._count_tokens(block)

    def _count_tokens(self, block: Block) -> None:
        self._tokens_under += max(1, len(block.items))
        if self._tokens_under > self._limits.tokens_per_commit:
            raise MalformedBlockError(
                f"the drafter floods: over {self._limits.tokens_per_commit} tokens under commit {block.commit_seq}"
            )

    def _count_branch(self, block: Block) -> None:
        self._branches_under += 1
        if self._branches_under > self._limits.max_branches:
            raise MalformedBlockError(
                f"the drafter floods: over {self._limits.max_branches} branches under commit {block.commit_seq}"
            )
        if len(block.items) > self._limits.tokens_per_commit:
            raise MalformedBlockError(f"a branch of {len(block.items)} tokens")
