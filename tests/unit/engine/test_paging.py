"""Block tables: sharing of prefixes, and what happens to shared blocks that are to be written again."""

from __future__ import annotations

from draftmesh.core.sampling import Method
from draftmesh.engine.block_pool import BlockPool
from draftmesh.engine.paging import Paging
from draftmesh.engine.sequence import Sequence
from tests.helpers.engines import RecordingListener, new_history


def sequence(*tokens: int) -> Sequence:
    """A sequence without KV."""
    return Sequence(1, list(tokens), len(tokens), new_history([], 9), RecordingListener(), method=Method.EXACT)


def computed(paging: Paging, *tokens: int) -> Sequence:
    """A sequence with the KV of all its tokens."""
    seq = sequence(*tokens)
    paging.adopt_prefix(seq)
    paging.grow(seq, len(tokens))
    seq.num_computed = len(tokens)
    paging.publish(seq)
    return seq


def test_full_blocks_are_shared_by_their_content() -> None:
    """A second sequence with the same beginning holds the same blocks."""
    paging = Paging(BlockPool(8, 2))
    first = computed(paging, 1, 2, 3, 4, 5)
    second = sequence(1, 2, 3, 4, 9)
    paging.adopt_prefix(second)
    assert second.block_table == first.block_table[:2]
    assert second.num_computed == 4
    assert paging.prefix_hit_tokens == 4


def test_the_newest_token_is_never_adopted() -> None:
    """Its row has to be computed, since it gives the next logits."""
    paging = Paging(BlockPool(8, 2))
    computed(paging, 1, 2, 3, 4)
    again = sequence(1, 2, 3, 4)
    paging.adopt_prefix(again)
    assert again.num_computed == 2


def test_a_prefix_outlives_its_sequence() -> None:
    """Released blocks count as free and can still be adopted."""
    paging = Paging(BlockPool(8, 2))
    paging.release(computed(paging, 1, 2, 3, 4, 5))
    assert paging.free_blocks == 8
    again = sequence(1, 2, 3, 4, 5)
    paging.adopt_prefix(again)
    assert again.num_computed == 4
    assert paging.free_blocks == 6


def test_without_a_prefix_cache_nothing_is_shared() -> None:
    """The same beginning is computed again, and the books of its blocks still agree."""
    paging = Paging(BlockPool(8, 2), shares_prefixes=False)
    first = computed(paging, 1, 2, 3, 4, 5)
    again = computed(paging, 1, 2, 3, 4, 5)
    assert paging.prefix_hit_tokens == 0
    assert not set(first.block_table) & set(again.block_table)
    paging.retract(again, 3)
    paging.check_integrity([first, again])
    paging.release(first)
    paging.release(again)
    paging.check_integrity([])
    assert paging.free_blocks == 8


def test_a_block_that_others_hold_is_given_up_before_it_is_written() -> None:
    """Rewinding into a shared block leaves it to the others and computes its beginning again."""
    paging = Paging(BlockPool(8, 4))
    first = computed(paging, *range(9))
    second = sequence(*range(9))
    paging.adopt_prefix(second)
    paging.retract(second, 6)
    assert (second.num_computed, second.block_table) == (4, first.block_table[:1])
    paging.check_integrity([first, second])


def test_a_block_of_ones_own_is_withdrawn_before_it_is_written() -> None:
    """Nobody may adopt content that is about to change; its kept part stays valid."""
    paging = Paging(BlockPool(8, 4))
    first = computed(paging, *range(9))
    paging.retract(first, 6)
    assert first.num_computed == 6
    other = sequence(*range(9))
    paging.adopt_prefix(other)
    assert other.num_computed == 4


def test_a_twin_of_a_published_block_is_not_withdrawn() -> None:
    """When two sequences computed the same block, writing the one leaves the other to be found."""
    paging = Paging(BlockPool(8, 4))
    first, twin = sequence(*range(6)), sequence(*range(6))
    for seq in (first, twin):
        paging.grow(seq, 6)
        seq.num_computed = 6
        paging.publish(seq)
    paging.retract(twin, 2)
    third = sequence(*range(6))
    paging.adopt_prefix(third)
    assert third.block_table == first.block_table[:1]


def test_trimming_releases_what_is_not_needed() -> None:
    """Blocks behind the last token are free again."""
    paging = Paging(BlockPool(8, 2))
    seq = sequence(1, 2, 3)
    paging.grow(seq, 9)
    paging.trim(seq, 3)
    assert (len(seq.block_table), paging.free_blocks) == (2, 6)
