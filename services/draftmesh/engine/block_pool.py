"""Who holds which KV block: reference counts, free blocks, and full blocks that can be found by their content.

No tensors and no sequences here: ids and hashes only. A block is *blank* (free, nothing worth keeping), *held* (by one
or more sequences), or *cached* (free, but its content is published and can be taken up again until it is needed).
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence

_ROOT = b"draftmesh prefix"
_SEARCHED_BLOCKS = 8192  # in larger pools a search for room would cost more than a gather


class BlockPool:
    """``num_blocks`` blocks of ``block_size`` tokens."""

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.num_blocks = num_blocks
        self.block_size = block_size
        self._references = [0] * num_blocks
        self._hashes: list[bytes | None] = [None] * num_blocks
        self._by_hash: dict[bytes, int] = {}
        self._blank: OrderedDict[int, None] = OrderedDict.fromkeys(range(num_blocks))
        self._cached: OrderedDict[int, None] = OrderedDict()  # least recently released first

    @property
    def free_blocks(self) -> int:
        """Blocks that no sequence holds."""
        return len(self._blank) + len(self._cached)

    def references(self, block: int) -> int:
        """How many sequences hold ``block``."""
        return self._references[block]

    def allocate(self, after: int | None) -> int:
        """Take a free block: if possible the one behind ``after``, so that a sequence's KV stays in one piece.

        The caller has made sure that one is free.
        """
        block = self._choose(after)
        self._blank.pop(block, None)
        self._cached.pop(block, None)
        self._forget(block)
        self._references[block] = 1
        return block

    def find(self, content: bytes) -> int | None:
        """The block that holds published ``content``, if it is still there."""
        return self._by_hash.get(content)

    def share(self, block: int) -> None:
        """Hold a published block, too."""
        self._cached.pop(block, None)
        self._references[block] += 1

    def release(self, block: int) -> None:
        """Give up one reference; the last one frees the block."""
        assert self._references[block] > 0, "a free block was released"
        self._references[block] -= 1
        if self._references[block] == 0:
            free = self._blank if self._hashes[block] is None else self._cached
            free[block] = None

    def publish(self, block: int, content: bytes) -> None:
        """Let a held block be found by its content; the first block of a content stays the one that is found."""
        if self._by_hash.setdefault(content, block) == block:
            self._hashes[block] = content

    def unpublish(self, block: int) -> None:
        """Its content is about to change."""
        self._forget(block)

    def check_integrity(self) -> None:
        """Raise AssertionError unless every block is in exactly one state and the index is exact."""
        for block, count in enumerate(self._references):
            states = (count > 0) + (block in self._blank) + (block in self._cached)
            assert states == 1, f"block {block} is in {states} states"
            assert block not in self._cached or self._hashes[block], f"block {block} is cached without content"
        published = {content: block for block, content in enumerate(self._hashes) if content is not None}
        assert published == self._by_hash, "the index of published blocks is not exact"

    def _choose(self, after: int | None) -> int:
        if not self._blank:
            return next(iter(self._cached))
        if after is not None and after + 1 in self._blank:
            return after + 1
        return self._roomiest() if after is None else next(iter(self._blank))

    def _roomiest(self) -> int:
        """Where a new sequence can grow furthest: the start of the pool, or the middle of the longest blank stretch."""
        if self.num_blocks > _SEARCHED_BLOCKS:
            return next(iter(self._blank))
        best_start, best_length, start = 0, 0, 0
        for block in range(self.num_blocks + 1):
            if block == self.num_blocks or block not in self._blank:
                if block - start > best_length:
                    best_start, best_length = start, block - start
                start = block + 1
        follows_another = best_start > 0
        return best_start + best_length // 2 if follows_another else best_start

    def _forget(self, block: int) -> None:
        content = self._hashes[block]
        if content is not None:
            self._hashes[block] = None
            del self._by_hash[content]


def chain_hash(parent: bytes | None, tokens: Sequence[int]) -> bytes:
    """The name of a full block's content: its tokens and, by ``parent``, all tokens before them."""
    return hashlib.blake2b((parent or _ROOT) + array("q", tokens).tobytes(), digest_size=16).digest()
