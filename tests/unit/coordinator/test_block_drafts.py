"""What is kept of an ``slrs`` block."""

from __future__ import annotations

import pytest

from draftmesh.coordinator.drafting.block_drafts import BlockDrafts
from draftmesh.coordinator.drafting.drafts import NOTHING, Draft
from draftmesh.core.draft import Block
from draftmesh.core.errors import MalformedBlockError
from draftmesh.core.evidence import PsiEvidence
from draftmesh.core.text import Item, Role, TextPrefix
from draftmesh.tokenization.vocabulary import Vocabulary

A, B, EOS = range(3)
TABLE = Vocabulary([b"a", b"b", b""], {EOS: Role.EOS})


def items(*ids: int) -> tuple[Item, ...]:
    """One item a token."""
    return TABLE.items(ids)


def block(*ids: int, after: tuple[int, ...] = (), missing: bool = False, commit_seq: int = 0) -> Block:
    """A block of these tokens, each with ψ 0.5."""
    psi = PsiEvidence((0.5,) * len(ids), missing)
    return Block(commit_seq, TextPrefix().extend(items(*after)), items(*ids), False, ids, psi)


@pytest.fixture
def drafts() -> BlockDrafts:
    """Of blocks of three tokens."""
    drafts = BlockDrafts(TABLE)
    drafts.restart(3, is_behind=False)
    return drafts


def draft_of(drafts: BlockDrafts) -> Draft:
    """What could go out."""
    return drafts.read(ended=True).draft


@pytest.mark.parametrize(
    ("parts", "is_whole"),
    [
        ([block(A, B, A)], True),
        ([block(A), block(B, A, after=(A,))], True),
        ([block(A, B)], False),
        ([block(A, EOS)], True),
        ([block(missing=True)], True),
        ([block(A), block(after=(A,), missing=True)], True),
    ],
)
def test_nothing_goes_out_before_the_block_is_whole(drafts: BlockDrafts, parts: list[Block], *, is_whole: bool) -> None:
    """It is with all its tokens, at the text's end, or where the rule reads nothing."""
    for part in parts:
        assert draft_of(drafts) == NOTHING
        assert drafts.offer(part)
    assert (bool(draft_of(drafts)), drafts.ended) == (is_whole, is_whole)


def test_blocks_of_other_bases_and_commits_are_dropped(drafts: BlockDrafts) -> None:
    """Also one that names the right text and was drawn before its drafter had heard of it."""
    drafts.settle((A,), items(A))
    drafts.note_commit(1)
    assert not drafts.offer(block(A, B, A, commit_seq=1))
    assert not drafts.offer(block(A, B, A, after=(A,), commit_seq=0))
    assert drafts.offer(block(A, B, A, after=(A,), commit_seq=1))
    assert drafts.take_wasted_bytes() == 6


def test_a_copy_of_a_judged_block_is_not_the_next_one() -> None:
    """A token without bytes leaves the text as it was; only a commit tells the old base's block from the new one's."""
    empty = Vocabulary([b"a", b"b", b"", b""], {EOS: Role.EOS}, special=[3])
    drafts = BlockDrafts(empty)
    drafts.restart(3, is_behind=False)
    drafts.settle((3,), (b"",))
    assert not drafts.offer(block(A, B, A))
    drafts.note_commit(1)
    assert drafts.offer(block(B, B, A, commit_seq=1))


def test_a_whole_block_outlives_its_drafter(drafts: BlockDrafts) -> None:
    """Until its base is settled; a part of one does not, for its successor draws it from the start."""
    drafts.offer(block(A))
    drafts.restart(3, is_behind=False)
    assert drafts.offer(block(B, A, B))
    kept = draft_of(drafts)
    drafts.restart(2, is_behind=False)
    assert not drafts.offer(block(A, A))
    assert draft_of(drafts) == kept != NOTHING
    drafts.settle((B,), items(B))
    drafts.note_commit(1)
    assert draft_of(drafts) == NOTHING
    assert drafts.offer(block(A, A, after=(B,), commit_seq=1))
    assert draft_of(drafts).ids == (A, A)


@pytest.mark.parametrize(
    "wrong", [block(A, B, A, B), block(A, EOS, B), block(A, commit_seq=1), Block(0, TextPrefix(), (b"a",), False, (A,))]
)
def test_breaches_are_malformed(drafts: BlockDrafts, wrong: Block) -> None:
    """Too many tokens, text after its end, a commit that nobody made, no evidence."""
    with pytest.raises(MalformedBlockError):
        drafts.offer(wrong)
