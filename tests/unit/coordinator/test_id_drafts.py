"""What is kept of a draft of target ids."""

from __future__ import annotations

import pytest

from draftmesh.coordinator.drafting.drafts import NOTHING, Draft
from draftmesh.coordinator.drafting.flow import DraftLimits
from draftmesh.coordinator.drafting.id_drafts import IdDrafts
from draftmesh.core.draft import Block
from draftmesh.core.errors import MalformedBlockError
from draftmesh.core.evidence import ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.core.sampling import Method
from draftmesh.core.text import Item, Role, TextPrefix
from draftmesh.tokenization.vocabulary import Vocabulary

A, B, C, AB, ABC, EMPTY = range(6)
TABLE = Vocabulary([b"a", b"b", b"c", b"ab", b"abc", b""], {}, special=[EMPTY])


def text(*ids: int) -> tuple[Item, ...]:
    """One item a token."""
    return tuple(TABLE.token_bytes(token) for token in ids)


def block(*ids: int, after: tuple[int, ...] = (), commit_seq: int = 0) -> Block:
    """A block of these tokens; each position's distribution names its token alone."""
    evidence = ProposalEvidence(tuple(SparseDistribution((token,), (1.0,)) for token in ids))
    return Block(commit_seq, TextPrefix().extend(text(*after)), text(*ids), False, ids, evidence)


@pytest.fixture
def drafts() -> IdDrafts:
    """Empty."""
    return IdDrafts(DraftLimits(32), Method.TLI, TABLE)


def ids_of(drafts: IdDrafts) -> tuple[int, ...]:
    """The draft; its evidence is checked to be that of its ids."""
    draft = drafts.read(ended=False).draft
    positions = draft.evidence.positions if isinstance(draft.evidence, ProposalEvidence) else ()
    assert tuple(position.ids[0] for position in positions) == draft.ids
    return draft.ids


@pytest.mark.parametrize(
    ("committed", "left"),
    [
        ((AB,), (C, A)),
        ((AB, C), (A,)),
        ((A,), ()),  # ends inside a draft token
        ((A, B), ()),  # the same text, in more tokens than the draft's
        ((ABC,), ()),  # the same text, in fewer
        ((B,), ()),
        ((EMPTY,), ()),  # drawn in place of a draft token that was rejected
        ((AB, EMPTY), ()),
        ((AB, C, A, B), ()),
    ],
)
def test_what_is_left_after_a_commit(drafts: IdDrafts, committed: tuple[int, ...], left: tuple[int, ...]) -> None:
    """The rest stays where the commit is made of whole draft tokens, one for one; else nothing stays."""
    drafts.offer(block(AB, C, A))
    drafts.settle(committed, text(*committed))
    assert ids_of(drafts) == left


def test_what_is_on_its_way_continues_a_draft_that_agrees(drafts: IdDrafts) -> None:
    """A block drawn before a commit that agrees is kept; its known tokens are trimmed, its new ones appended."""
    drafts.offer(block(AB, C))
    drafts.settle((AB,), text(AB))
    assert drafts.offer(block(AB, C, B, A))
    assert ids_of(drafts) == (C, B, A)


def test_a_block_that_begins_inside_what_is_known_is_dropped(drafts: IdDrafts) -> None:
    """Where the committed text ends inside one of its tokens, none of it is of use."""
    drafts.settle((A,), text(A))
    assert not drafts.offer(block(AB, C))
    assert ids_of(drafts) == ()


def test_what_is_on_its_way_is_dropped_where_the_target_cut_the_text_otherwise(drafts: IdDrafts) -> None:
    """The drafter hears that its two tokens were one of the target's, and will draw the third afresh."""
    drafts.settle((AB,), text(AB))
    drafts.note_commit(1)
    assert not drafts.offer(block(A, B, A))
    assert ids_of(drafts) == ()
    assert drafts.offer(block(C, after=(AB,), commit_seq=1))
    assert ids_of(drafts) == (C,)


def test_a_stream_that_is_behind_is_not_listened_to_before_it_has_heard(drafts: IdDrafts) -> None:
    """A drafter that takes over draws with the same noise: its first draft may begin with a token just rejected."""
    drafts.settle((EMPTY,), text(EMPTY))
    drafts.restart(8, is_behind=True)
    assert not drafts.offer(block(A, B))
    drafts.note_commit(1)
    assert drafts.offer(block(C, commit_seq=1))
    assert ids_of(drafts) == (C,)


@pytest.mark.parametrize(
    ("method", "ended"), [(Method.TLI, False), (Method.REJECTION, False), (Method.TLI_EXACT, True)]
)
def test_an_end_hurries_no_draft_that_is_judged_by_ratios(method: Method, ended: bool) -> None:
    """What a draft says must not decide when it goes out, where that decides who judges it."""
    table = Vocabulary([b"a", b""], {1: Role.EOS})
    drafts = IdDrafts(DraftLimits(32), method, table)
    said = ProposalEvidence(tuple(SparseDistribution((token,), (1.0,)) for token in (0, 1)))
    drafts.offer(
        Block(0, TextPrefix(), (b"a", Role.EOS), False, (0, 1), said if method is not Method.TLI_EXACT else None)
    )
    assert drafts.ended is ended


def test_a_rejected_token_is_not_proposed_again(drafts: IdDrafts) -> None:
    """After a parting, what was drawn before the drafter had heard of it is thrown away, though the text fits."""
    drafts.offer(block(AB))
    drafts.settle((EMPTY,), (b"",))
    assert not drafts.offer(block(AB))
    drafts.note_commit(1)
    assert not drafts.offer(block(AB))
    assert drafts.offer(block(C, commit_seq=1))
    assert ids_of(drafts) == (C,)


@pytest.mark.parametrize(
    "wrong",
    [
        Block(0, TextPrefix(), (b"a",), False, (B,), ProposalEvidence((SparseDistribution((B,), (1.0,)),))),
        Block(0, TextPrefix(), (b"a",), False, (A,), ProposalEvidence((SparseDistribution((B,), (1.0,)),))),
        Block(0, TextPrefix(), (b"a",), False, (A,), PsiEvidence((1.0,))),
        Block(0, TextPrefix(), (b"a",), False, (A,)),
        Block(0, TextPrefix(), (b"a",), False, (), None),
        Block(0, TextPrefix(), (b"a",), False, (6,), ProposalEvidence((SparseDistribution((6,), (1.0,)),))),
        Block(0, TextPrefix(), (b"",), False, (EMPTY,), ProposalEvidence((SparseDistribution((EMPTY,), (1.0,)),))),
    ],
)
def test_lies_are_malformed(drafts: IdDrafts, wrong: Block) -> None:
    """Text that is not the id's, evidence of another kind or of another token, ids that do not exist."""
    with pytest.raises(MalformedBlockError):
        drafts.offer(wrong)


def test_tli_exact_takes_ids_without_evidence() -> None:
    """Its proposals are judged by a draw, so nothing is to be said of them."""
    drafts = IdDrafts(DraftLimits(32), Method.TLI_EXACT, TABLE)
    drafts.offer(Block(0, TextPrefix(), text(AB, C), False, (AB, C)))
    assert drafts.read(ended=False).draft == Draft((AB, C))
    with pytest.raises(MalformedBlockError):
        drafts.offer(block(A, after=(AB, C)))


@pytest.mark.parametrize(
    ("values", "missing", "limit", "expected"),
    [
        ((0.5, 0.5), True, 3, Draft((A, B), PsiEvidence((0.5, 0.5), missing_next=True))),
        ((0.5, 0.5), True, 2, Draft((A, B), PsiEvidence((0.5, 0.5)))),
        ((0.5, 0.5), True, 1, Draft((A,), PsiEvidence((0.5,)))),
        ((0.5, 0.5), False, 0, NOTHING),
    ],
)
def test_a_cut_counts_what_is_missing_as_a_position(
    values: tuple[float, ...], limit: int, expected: Draft, *, missing: bool
) -> None:
    """Kept after as many ids as fit, it would choose by its content who decides the next token."""
    assert Draft((A, B), PsiEvidence(values, missing)).cut(limit) == expected
    assert bool(Draft((), PsiEvidence((), missing))) is missing
