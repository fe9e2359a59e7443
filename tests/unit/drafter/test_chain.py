"""The chain's rules, one by one."""

from __future__ import annotations

import pytest

from draftmesh.core.draft import Commit, DraftExtent
from draftmesh.core.errors import InternalError, StateError
from draftmesh.core.evidence import ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.core.sampling import Method
from draftmesh.core.text import Item, Role, TextPrefix
from draftmesh.drafter.chain import Chain
from draftmesh.drafter.draft_token import Divergence, DraftPosition, DraftToken


def drawn(*tokens: bytes | Role, max_ahead_tokens: int = 8) -> Chain:
    """A chain after ``he`` was committed at Open and ``tokens`` were drawn."""
    chain = Chain((b"he",), max_ahead_tokens)
    for token in tokens:
        chain.draw(DraftToken(token))
    return chain


def test_block_starts_after_the_committed_text() -> None:
    """A first block is named by the prefix of what was committed at Open."""
    block = drawn(b"llo", b" you").take_block(paused=False)
    assert (block.start, block.items) == (TextPrefix().extend((b"he",)), (b"llo", b" you"))


def test_second_block_starts_where_the_first_ended() -> None:
    """Blocks chain: one starts where the one before ended."""
    chain = drawn(b"llo")
    first = chain.take_block(paused=False)
    chain.draw(DraftToken(b" you"))
    assert chain.take_block(paused=False).start == first.end


def test_commit_inside_a_token_keeps_it() -> None:
    """A commit that ends inside a drawn token and agrees leaves the rest of the token ahead."""
    chain = drawn(b"llo")
    assert chain.commit(Commit(1, 2, (b"l",))) is None
    assert chain.ahead == (b"lo",)


def test_unsent_token_cut_by_a_commit_is_sent_from_the_cut() -> None:
    """A token that was committed in part before it was sent goes out without the committed part."""
    chain = drawn(b"llo", b"!")
    chain.commit(Commit(1, 2, (b"l",)))
    block = chain.take_block(paused=False)
    assert (block.start, block.items) == (chain.committed, (b"lo", b"!"))


def test_divergence_inside_a_token_gives_back_its_committed_part() -> None:
    """When the text parts inside a token that an earlier commit had cut, the proposer gets all of its bytes."""
    chain = drawn(b"llo", b"!")
    chain.commit(Commit(1, 2, (b"l",)))
    assert chain.commit(Commit(2, 3, (b"ama",))) == Divergence(2, (b"l", b"ama"), wasted_bytes=3)


def test_bonus_beyond_the_draft_diverges_without_dropping() -> None:
    """A commit longer than the whole draft keeps every token and hands over the rest."""
    assert drawn(b"llo").commit(Commit(1, 2, (b"llo", b" you"))) == Divergence(0, (b" you",))


def test_a_drawn_end_takes_the_room() -> None:
    """After a terminal role nothing more may be drawn."""
    assert drawn(b"llo", Role.EOS).room == 0


def test_a_committed_end_gives_the_room_back() -> None:
    """When the target goes on after an end token, so does the draft."""
    chain = drawn(Role.EOS, max_ahead_tokens=3)
    chain.commit(Commit(1, 2, (Role.EOS,)))
    assert chain.room == 3


@pytest.mark.parametrize(("ahead_tokens", "room"), [(3, 2), (1, 0), (0, 7), (99, 7)])
def test_a_commit_says_how_far_to_draw_ahead(ahead_tokens: int, room: int) -> None:
    """No further than the stream was opened for, which is what a commit means that says nothing."""
    chain = drawn(b"llo", b"!")
    chain.commit(Commit(1, 2, (b"llo",), DraftExtent(ahead_tokens)))
    assert chain.room == room


@pytest.mark.parametrize(("first_ahead_tokens", "room"), [(3, 3), (0, 8), (99, 8)])
def test_the_first_message_says_how_far_to_draw_before_a_commit(first_ahead_tokens: int, room: int) -> None:
    """A commit that says nothing means the stream's own limit again."""
    chain = Chain((b"he",), 8, first_extent=DraftExtent(first_ahead_tokens))
    assert chain.room == room
    chain.commit(Commit(1, 2, (b"llo",)))
    assert chain.room == 8


UNSURE = DraftExtent(least_confidence=0.5)


def test_a_draft_pauses_when_all_of_it_is_hardly_right() -> None:
    """By the product of its tokens' probabilities; a commit that asks for less lets it go on."""
    chain = Chain((b"he",), 8, first_extent=UNSURE)
    rooms = []
    for confidence in (0.8, 0.7, 0.8):
        chain.draw(DraftToken(b"l", confidence=confidence))
        rooms.append(chain.room)
    assert rooms == [7, 6, 0]
    chain.commit(Commit(1, 2, (b"l",), UNSURE))
    assert chain.room == 6
    chain.commit(Commit(2, 3, (b"l",), DraftExtent(least_confidence=0.9)))
    assert chain.room == 0


def test_a_token_that_is_committed_in_part_is_not_doubted() -> None:
    """What of it is known was right."""
    chain = Chain((b"he",), 8, first_extent=UNSURE)
    chain.draw(DraftToken(b"llo", confidence=0.1))
    assert chain.room == 0
    chain.commit(Commit(1, 2, (b"l",), UNSURE))
    assert chain.room == 7


@pytest.mark.parametrize(
    ("method", "extent", "sends_each"),
    [
        (Method.TLI, UNSURE, True),
        (Method.REJECTION, UNSURE, True),
        (Method.TLI, DraftExtent(), False),
        (Method.TLI_EXACT, UNSURE, False),
        (Method.EXACT, UNSURE, False),
    ],
)
def test_what_a_token_says_must_not_decide_when_it_goes_out(
    method: Method, extent: DraftExtent, sends_each: bool
) -> None:
    """Where tokens are judged by ratios and drafts pause by what they say."""
    assert Chain((), 8, method=method, first_extent=extent).sends_each is sends_each


def test_a_block_of_strings_is_as_long_as_it_was_opened_for() -> None:
    """Its length is part of its law."""
    chain = Chain((), 4, method=Method.SLRS)
    chain.commit(Commit(1, 0, (b"a",), DraftExtent(2, 0.9)))
    assert chain.room == 4


def test_other_role_is_a_divergence() -> None:
    """Roles are text: another role in the same place does not agree."""
    assert drawn(Role.EOS).commit(Commit(1, 2, (Role.END_OF_TURN,))) == Divergence(1, (Role.END_OF_TURN,))


def test_backed_up_text_is_spelled_by_the_next_tokens() -> None:
    """After backing up, tokens that spell the pending bytes add nothing ahead until they pass them."""
    chain = drawn()
    chain.back_up(b"he")
    chain.draw(DraftToken(b"h"))
    before = chain.ahead
    chain.draw(DraftToken(b"ello"))
    assert [before, chain.ahead, chain.take_block(paused=False).items] == [(), (b"llo",), (b"llo",)]


def test_token_that_contradicts_pending_bytes_is_a_bug() -> None:
    """A proposer that does not spell the pending bytes is caught."""
    chain = drawn()
    chain.back_up(b"he")
    with pytest.raises(InternalError, match="contradicts"):
        chain.draw(DraftToken(b"oh"))


@pytest.mark.parametrize(
    ("commit", "message"),
    [
        (Commit(2, 2, (b"x",)), "commit 2 came after commit 0"),
        (Commit(0, 2, (b"x",)), "commit 0 came after commit 0"),
        (Commit(1, 3, (b"x",)), "starts at byte 3, but 2 are committed"),
        (Commit(1, 0, (b"x",)), "starts at byte 0, but 2 are committed"),
    ],
)
def test_commit_out_of_place_is_refused(commit: Commit, message: str) -> None:
    """A commit with a gap in its number or its offset is refused and changes nothing."""
    chain = drawn(b"llo")
    with pytest.raises(StateError, match=message):
        chain.commit(commit)
    assert (chain.commit_seq, chain.ahead) == (0, (b"llo",))


LAW = SparseDistribution((1, 2), (0.25, 0.75))


def proposed(*items: Item, method: Method = Method.TLI, committed_tokens: int = 5) -> Chain:
    """A chain of draft tokens that are target ids, numbered from 10, after ``he`` was committed at Open."""
    chain = Chain((b"he",), 8, method=method, committed_tokens=committed_tokens)
    for target_id, item in enumerate(items, 10):
        chain.draw(DraftToken(item, target_id, LAW, psi=0.5))
    return chain


def test_position_counts_bytes_and_target_tokens() -> None:
    """The next token starts after committed text and draft, and so do the target tokens before it."""
    assert proposed(b"llo", b"!").position == DraftPosition(6, 7)


def test_position_moves_with_commits() -> None:
    """A commit's tokens take the place of the draft's."""
    chain = proposed(b"llo", b"!")
    chain.commit(Commit(1, 2, (b"llo",)))
    assert chain.position == DraftPosition(6, 7)


def test_commit_of_whole_tokens_keeps_the_rest() -> None:
    """What is left was drawn after just the tokens that are committed."""
    chain = proposed(b"llo", b" you", b"!")
    assert chain.commit(Commit(1, 2, (b"llo", b" you"))) is None
    assert chain.ahead == (b"!",)


@pytest.mark.parametrize("method", [Method.TLI, Method.REJECTION, Method.TLI_EXACT])
def test_commit_inside_a_proposed_token_diverges(method: Method) -> None:
    """Where proposals are ids, a text in other tokens is another draft: all that is not the same token is dropped."""
    chain = proposed(b"llo", b" you", b"!", method=method)
    assert chain.commit(Commit(1, 2, (b"llo y",))) == Divergence(3, (b"llo y",), wasted_bytes=3)
    assert chain.ahead == ()


def test_zero_byte_token_drops_the_proposals() -> None:
    """In the place of a token without bytes a proposal was rejected: it must not be sent again."""
    chain = proposed(b"llo", b"!")
    assert chain.commit(Commit(1, 2, (b"llo", b""))) == Divergence(1, (), wasted_bytes=1)


def test_other_cut_of_the_same_text_drops_the_proposals() -> None:
    """One target token with the bytes of two proposals shifts the count that noise goes by."""
    chain = proposed(b"l", b"lo", b"!")
    assert chain.commit(Commit(1, 2, (b"llo",))) == Divergence(3, (b"llo",), wasted_bytes=1)


@pytest.mark.parametrize("method", [Method.TLI, Method.REJECTION])
def test_an_end_is_drawn_past_where_tokens_are_judged_by_ratios(method: Method) -> None:
    """A draft that ends goes out no sooner than another: what it says must not decide whether it is judged."""
    chain = proposed(b"llo", Role.EOS, method=method)
    assert (chain.ended, chain.room) == (False, 6)


def test_an_end_ends_the_draft_where_draws_are_compared() -> None:
    """The target draws for itself whatever the draft says."""
    assert proposed(b"llo", Role.EOS, method=Method.TLI_EXACT).room == 0


def test_committed_end_within_proposals_keeps_the_rest() -> None:
    """A target that goes on after a role is followed."""
    chain = proposed(b"llo", Role.BOS, b"!")
    assert chain.commit(Commit(1, 2, (b"llo", Role.BOS))) is None
    assert chain.ahead == (b"!",)


def test_proposals_carry_ids_and_distributions() -> None:
    """A block says of each token what was drawn and from what."""
    chain = proposed(b"llo")
    chain.take_block(paused=False)
    chain.draw(DraftToken(b"!", 11, LAW))
    block = chain.take_block(paused=True)
    assert (block.target_ids, block.evidence) == ((11,), ProposalEvidence((LAW,)))


def test_exact_proposals_carry_ids_alone() -> None:
    """``tli-exact`` sends no distribution."""
    block = proposed(b"llo", method=Method.TLI_EXACT).take_block(paused=False)
    assert (block.target_ids, block.evidence) == ((10,), None)


def test_strings_carry_psi() -> None:
    """A block of ``slrs`` says ψ of each token, and whether nothing is read after them."""
    chain = proposed(b"llo", b"!", method=Method.SLRS)
    chain.draw_nothing()
    assert chain.take_block(paused=True).evidence == PsiEvidence((0.5, 0.5), missing_next=True)


def test_every_commit_ends_a_block_of_strings() -> None:
    """Even the block's own text begins a new one."""
    chain = proposed(b"llo", b"!", method=Method.SLRS)
    chain.draw_nothing()
    assert chain.commit(Commit(1, 2, (b"llo",))) == Divergence(2, (b"llo",), wasted_bytes=1)
    assert (chain.take_block(paused=False).evidence, chain.position) == (PsiEvidence(()), DraftPosition(5, 6))


def test_a_divergence_tells_the_targets_tokens() -> None:
    """Those that nothing drawn has spelled, with what is left of one that was spelled in part, however they came."""
    chain = drawn(b"ll", b"o!")
    chain.commit(Commit(1, 2, (b"l", b"lo")))
    assert chain.commit(Commit(2, 5, (b"w", b"", b"rd", Role.EOS))) == Divergence(
        1, (b"o", b"w", b"rd", Role.EOS), wasted_bytes=1
    )


def test_a_token_that_was_said_in_place_of_drawn_ones_is_told_whole() -> None:
    """Where tokens are proposed, the same text in other tokens is not the draft."""
    chain = Chain((), 8, method=Method.TLI_EXACT)
    for item in (b"the", b"re"):
        chain.draw(DraftToken(item, 1))
    assert chain.commit(Commit(1, 0, (b"there",))) == Divergence(2, (b"there",))
