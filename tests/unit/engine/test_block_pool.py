"""The block pool: references, published blocks, and where new blocks are taken."""

from __future__ import annotations

import pytest

from draftmesh.engine.block_pool import BlockPool, chain_hash


def test_a_sequence_gets_blocks_that_follow_one_another() -> None:
    """The block behind the last one is taken when it is free."""
    pool = BlockPool(8, 4)
    first = pool.allocate(None)
    assert [first + 1, first + 2] == [pool.allocate(first), pool.allocate(first + 1)]


def test_a_new_sequence_starts_where_it_can_grow_furthest() -> None:
    """The second sequence starts in the middle of what is blank, not right behind the first."""
    pool = BlockPool(9, 4)
    assert pool.allocate(None) == 0
    assert pool.allocate(None) == 5


def test_the_last_release_frees_a_block() -> None:
    """A shared block stays held until nobody holds it."""
    pool = BlockPool(2, 4)
    block = pool.allocate(None)
    pool.share(block)
    pool.release(block)
    assert pool.free_blocks == 1
    pool.release(block)
    assert pool.free_blocks == 2


def test_a_released_block_can_be_found_by_its_content() -> None:
    """Published content outlives the sequence that computed it."""
    pool = BlockPool(2, 2)
    block = pool.allocate(None)
    content = chain_hash(None, [1, 2])
    pool.publish(block, content)
    pool.release(block)
    assert pool.find(content) == block
    assert pool.free_blocks == 2


def test_cached_blocks_are_taken_last_and_the_longest_unused_first() -> None:
    """Blank blocks go first; then cached ones lose their content in the order of their release."""
    pool = BlockPool(3, 1)
    blocks = [pool.allocate(None) for _ in range(2)]
    contents = [chain_hash(None, [token]) for token in range(2)]
    for block, content in zip(blocks, contents, strict=True):
        pool.publish(block, content)
    for block in reversed(blocks):
        pool.release(block)
    blank = ({0, 1, 2} - set(blocks)).pop()
    assert [pool.allocate(None) for _ in range(3)] == [blank, blocks[1], blocks[0]]
    assert [pool.find(content) for content in contents] == [None, None]


def test_of_equal_contents_the_first_is_found() -> None:
    """Two sequences may compute the same block at the same time; the index keeps one of them."""
    pool = BlockPool(2, 1)
    first, second = pool.allocate(None), pool.allocate(None)
    content = chain_hash(None, [1])
    pool.publish(first, content)
    pool.publish(second, content)
    pool.check_integrity()
    assert pool.find(content) == first


def test_unpublished_content_cannot_be_found() -> None:
    """Before a block is written again its content is withdrawn."""
    pool = BlockPool(1, 1)
    block = pool.allocate(None)
    pool.publish(block, chain_hash(None, [1]))
    pool.unpublish(block)
    pool.check_integrity()
    assert pool.find(chain_hash(None, [1])) is None


def test_a_hash_names_everything_before_the_block_too() -> None:
    """Equal blocks behind different beginnings differ."""
    assert chain_hash(chain_hash(None, [1]), [2]) != chain_hash(chain_hash(None, [3]), [2])
    assert chain_hash(chain_hash(None, [1]), [2]) == chain_hash(chain_hash(None, [1]), [2])


def test_integrity_notices_a_lost_block() -> None:
    """The check itself can fail."""
    pool = BlockPool(2, 1)
    pool._blank.popitem()
    with pytest.raises(AssertionError, match="is in 0 states"):
        pool.check_integrity()


def test_a_large_pool_allocates_without_searching() -> None:
    """Beyond the size where a search pays, every block can still be had."""
    pool = BlockPool(10_000, 1)
    assert sorted(pool.allocate(None) for _ in range(10_000)) == list(range(10_000))
