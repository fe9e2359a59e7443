"""Keeps each sequence's block table in step with its tokens; the only caller of the block pool.

The rule that makes sharing safe: a block is written only while one sequence holds it and nobody can find it by its
content. So blocks are published when they lie wholly below ``num_computed``, and :meth:`Paging.retract` gives up or
withdraws every block that is about to be written again.
"""

from __future__ import annotations

from draftmesh.engine.block_pool import BlockPool, chain_hash
from draftmesh.engine.sequence import Sequence


class Paging:
    """Block tables over one pool.

    Args:
        pool: Nobody else uses it.
        shares_prefixes: Whether sequences that begin alike share blocks.
    """

    def __init__(self, pool: BlockPool, *, shares_prefixes: bool = True) -> None:
        self._pool = pool
        self._shares_prefixes = shares_prefixes
        self._block_size = pool.block_size
        self.prefix_hit_tokens = 0

    @property
    def free_blocks(self) -> int:
        """Blocks that no sequence holds."""
        return self._pool.free_blocks

    @property
    def total_blocks(self) -> int:
        """Blocks of the pool."""
        return self._pool.num_blocks

    def missing_blocks(self, seq: Sequence, length: int) -> int:
        """Blocks that ``seq`` lacks to hold ``length`` tokens."""
        return max(0, -(-length // self._block_size) - len(seq.block_table))

    def grow(self, seq: Sequence, length: int) -> None:
        """Give ``seq`` blocks for ``length`` tokens; the caller has made sure that enough are free."""
        table = seq.block_table
        for _ in range(self.missing_blocks(seq, length)):
            table.append(self._pool.allocate(table[-1] if table else None))

    def adopt_prefix(self, seq: Sequence) -> None:
        """Start a sequence without KV on published blocks that hold its first tokens.

        At least the newest token stays uncomputed, since its row gives the next logits.
        """
        parent = None
        shareable = len(seq.tokens) - self._block_size if self._shares_prefixes else 0
        for start in range(0, shareable, self._block_size):
            parent = chain_hash(parent, seq.tokens[start : start + self._block_size])
            block = self._pool.find(parent)
            if block is None:
                break
            self._pool.share(block)
            seq.block_table.append(block)
            seq.block_hashes.append(parent)
        seq.num_computed = len(seq.block_table) * self._block_size
        self.prefix_hit_tokens += seq.num_computed

    def publish(self, seq: Sequence) -> None:
        """Let blocks that have become full below ``num_computed`` be found by their content."""
        if not self._shares_prefixes:
            return
        hashes, size = seq.block_hashes, self._block_size
        while (len(hashes) + 1) * size <= seq.num_computed:
            start = len(hashes) * size
            content = chain_hash(hashes[-1] if hashes else None, seq.tokens[start : start + size])
            self._pool.publish(seq.block_table[len(hashes)], content)
            hashes.append(content)

    def retract(self, seq: Sequence, length: int) -> None:
        """Make positions from ``length`` on writable: KV below it stays valid, except in a block that others hold.

        Such a block is given up, and its part below ``length`` is computed again.
        """
        boundary = length // self._block_size
        if length % self._block_size and boundary < len(seq.block_table):
            if self._pool.references(seq.block_table[boundary]) > 1:
                length = boundary * self._block_size
            elif boundary < len(seq.block_hashes):
                self._withdraw(seq, boundary)
        seq.num_computed = min(seq.num_computed, length)
        self.trim(seq, length)

    def trim(self, seq: Sequence, length: int) -> None:
        """Release the blocks that ``length`` tokens do not need."""
        keep = -(-length // self._block_size)
        del seq.block_hashes[keep:]
        while len(seq.block_table) > keep:
            self._pool.release(seq.block_table.pop())

    def release(self, seq: Sequence) -> None:
        """Release everything that ``seq`` holds, the end first, so that beginnings stay cached longest."""
        seq.num_computed = 0
        self.trim(seq, 0)

    def check_integrity(self, sequences: list[Sequence]) -> None:
        """Raise AssertionError unless pool and block tables agree: every reference belongs to one table."""
        self._pool.check_integrity()
        held = [0] * self._pool.num_blocks
        for seq in sequences:
            assert seq.num_computed <= len(seq.tokens), "KV counts beyond the tokens"
            assert seq.num_computed <= len(seq.block_table) * self._block_size, "KV without blocks"
            assert len(seq.block_hashes) * self._block_size <= seq.num_computed, "published beyond the computed"
            for block in seq.block_table:
                held[block] += 1
        references = [self._pool.references(block) for block in range(self._pool.num_blocks)]
        assert held == references, "references and block tables disagree"

    def _withdraw(self, seq: Sequence, boundary: int) -> None:
        if self._pool.find(seq.block_hashes[boundary]) == seq.block_table[boundary]:
            self._pool.unpublish(seq.block_table[boundary])
        del seq.block_hashes[boundary:]
