"""What of a drafter's stream is kept."""

from __future__ import annotations

import pytest

from draftmesh.coordinator.drafting.buffer import DraftBuffer
from draftmesh.coordinator.drafting.flow import DraftLimits
from draftmesh.core.draft import Block
from draftmesh.core.errors import MalformedBlockError
from draftmesh.core.text import Item, Role, TextPrefix

LIMITS = DraftLimits(max_ahead_tokens=8, history_atoms=16)


def block(before: tuple[Item, ...], *items: Item, seq: int = 0, paused: bool = False) -> Block:
    """A block that follows ``before``."""
    return Block(seq, TextPrefix().extend(before), items, paused)


def branch(before: tuple[Item, ...], *items: Item, seq: int = 1, paused: bool = False) -> Block:
    """A branch that parts from the draft after ``before``."""
    return Block(seq, TextPrefix().extend(before), items, paused, is_branch=True)


@pytest.fixture
def torn(buffer: DraftBuffer) -> DraftBuffer:
    """The buffer with the draft ``cat sat`` and a branch ``cow ran off`` that the target takes: it says ``cow``."""
    buffer.offer(block((b"the ",), b"cat sat", seq=1))
    assert buffer.offer(branch((b"the c",), b"ow", b" ran off"))
    assert not buffer.settle((b"cow",))
    return buffer


def test_a_branch_that_the_target_takes_is_the_draft(torn: DraftBuffer) -> None:
    """What is left of it, as a guess; the old draft is wasted."""
    assert (torn.draft, torn.is_guess, torn.take_wasted_bytes()) == ((b" ran off",), True, len(b"cat sat"))


def test_a_branch_changes_nothing_while_the_draft_is_right(buffer: DraftBuffer) -> None:
    """It is no part of the draft, and wasted once the target has passed it."""
    buffer.offer(block((b"the ",), b"cat sat", seq=1))
    buffer.offer(branch((b"the c",), b"ow"))
    assert buffer.draft == (b"cat sat",)
    assert buffer.settle((b"cat",))
    assert (buffer.draft, buffer.is_guess, buffer.take_wasted_bytes()) == ((b" sat",), False, 2)


def test_the_drafter_goes_on_with_its_branch(torn: DraftBuffer) -> None:
    """It says the same again and more: the overlap is trimmed, and it is no guess any more."""
    torn.note_commit(2)
    assert torn.offer(block((b"the cow",), b" ran off", b" today", seq=2))
    assert (torn.draft, torn.is_guess) == ((b" ran off today",), False)


def test_the_drafter_may_change_its_mind(torn: DraftBuffer) -> None:
    """Having heard of the commit, it says something else: what it says now counts."""
    torn.note_commit(2)
    assert torn.offer(block((b"the cow",), b" ran", seq=2))
    assert torn.is_guess
    assert torn.offer(block((b"the cow ran",), b" away", seq=2))
    assert (torn.draft, torn.is_guess) == ((b" ran away",), False)


def test_the_drafter_may_change_its_mind_when_part_of_the_guess_is_committed(torn: DraftBuffer) -> None:
    """It has not been heard before."""
    torn.note_commit(2)
    assert torn.settle((b" r",))
    assert not torn.offer(block((b"the cow",), b" sat", seq=2))  # it is not what is committed
    assert torn.offer(block((b"the cow",), b" rest", seq=2))
    assert (torn.draft, torn.is_guess) == ((b"est",), False)


def test_a_guess_goes_with_its_drafter(torn: DraftBuffer) -> None:
    """What another one says is no guess, and nobody overrules it."""
    torn.note_commit(2)
    torn.restart()
    assert torn.offer(block((b"the cow",), b" sat"))
    assert not torn.offer(block((b"the cow",), b" ate"))
    assert (torn.draft, torn.is_guess) == ((b" sat",), False)


def test_a_block_about_another_text_does_not_change_a_guess(torn: DraftBuffer) -> None:
    """It was on its way when the target parted from it."""
    assert not torn.offer(block((b"the ",), b"cat sat still", seq=1))
    assert (torn.draft, torn.is_guess) == ((b" ran off",), True)


def test_a_drafter_may_pause_inside_a_guess(torn: DraftBuffer) -> None:
    """Then nothing more comes; the rest of the guess stays for want of something better."""
    torn.note_commit(2)
    assert torn.offer(block((b"the cow",), b" ran", seq=2, paused=True))
    assert (torn.draft, torn.ended, torn.is_guess) == ((b" ran off",), True, True)


def test_a_branch_that_is_used_up_says_nothing(buffer: DraftBuffer) -> None:
    """Another one that goes on is taken."""
    buffer.offer(block((b"the ",), b"cat", seq=1))
    buffer.offer(branch((b"the ",), b"dog"))
    buffer.offer(branch((b"the ",), b"dogs"))
    assert not buffer.settle((b"dog",))
    assert (buffer.draft, buffer.is_guess) == ((b"s",), True)


def test_a_draft_that_is_said_to_its_end_goes_on_with_the_branch_there(buffer: DraftBuffer) -> None:
    """As a guess, whatever is said beyond the end, if the branch says it too."""
    buffer.offer(block((b"the ",), b"cat", seq=1, paused=True))
    buffer.offer(branch((b"the cat",), b" sat", b" down"))
    assert buffer.settle((b"c",))
    assert (buffer.draft, buffer.is_guess) == ((b"at sat down",), True)
    assert buffer.settle((b"at sat",))
    assert (buffer.draft, buffer.is_guess) == ((b" down",), True)


@pytest.mark.parametrize("said", [b"cat", b"cat sa"])
def test_a_branch_at_the_end_that_comes_late_goes_on_too(buffer: DraftBuffer, said: bytes) -> None:
    """The pause before it is over, once something has been committed; until then it is a branch."""
    buffer.offer(block((b"the ",), b"cat", seq=1, paused=True))
    buffer.settle((said,))
    buffer.note_commit(2)
    assert buffer.offer(branch((b"the cat",), b" sat", b" down"))
    assert (buffer.draft, buffer.is_guess) == ((b"the cat sat down"[4 + len(said) :],), True)


def test_a_pause_holds_until_something_is_committed(buffer: DraftBuffer) -> None:
    """The branch at its end is none of the draft."""
    buffer.offer(block((b"the ",), b"cat", seq=1, paused=True))
    buffer.offer(branch((b"the cat",), b" sat"))
    assert (buffer.draft, buffer.ended) == ((b"cat",), True)


def test_a_branch_lives_on_while_the_target_is_on_it(buffer: DraftBuffer) -> None:
    """What is committed may be the beginning of the draft and of a branch."""
    buffer.offer(block((b"the ",), b"foxes jump", seq=1))
    buffer.offer(branch((b"the ",), b"fox", b" jumps over"))
    assert buffer.settle((b"fox",))
    assert not buffer.settle((b" jumps",))
    assert (buffer.draft, buffer.is_guess) == ((b" over",), True)


def test_a_branch_is_text_after_what_is_committed(buffer: DraftBuffer) -> None:
    """With what the draft says before it; one that the target has passed by is none any more."""
    buffer.offer(block((b"the ",), b"cat sat", seq=1))
    buffer.offer(branch((b"the c",), b"ow"))
    buffer.offer(branch((b"the cat ",), b"ran", Role.EOS))
    assert [text for text, _ in buffer.branches] == [(b"cow",), (b"cat ran", Role.EOS)]
    buffer.settle((b"ca",))
    assert buffer.branches == (((b"t ran", Role.EOS), False),)


def test_a_branch_without_text_is_nothing(buffer: DraftBuffer) -> None:
    """It is not kept."""
    buffer.offer(block((b"the ",), b"cat", seq=1))
    assert not buffer.offer(branch((b"the c",)))
    assert not buffer.offer(branch((b"the c",), Role.EOS))


def test_too_many_bytes_are_a_flood(buffer: DraftBuffer) -> None:
    """In one block, or in a branch that comes late."""
    limit = LIMITS.max_kept_bytes
    with pytest.raises(MalformedBlockError, match=f"block of {limit + 1} bytes"):
        buffer.offer(block((b"the ",), b"x" * (limit + 1), seq=1))
    assert buffer.offer(branch((b"the",), b" ", b"x" * (limit - 1)))
    with pytest.raises(MalformedBlockError, match="bytes of draft"):
        buffer.offer(block((b"the ", b"x" * (limit - 1)), b"xx", seq=1))


def test_a_branch_of_what_is_past_is_wasted(buffer: DraftBuffer) -> None:
    """It comes too late."""
    assert not buffer.offer(branch((b"th",), b"is"))
    assert buffer.take_wasted_bytes() == 2


def test_a_branch_that_pauses_ends_the_draft_that_it_becomes(buffer: DraftBuffer) -> None:
    """Nothing more is waited for, until the drafter itself says more."""
    buffer.offer(block((b"the ",), b"cat sat", seq=1))
    buffer.offer(branch((b"the c",), b"ow", b" ran off", paused=True))
    buffer.settle((b"cow",))
    buffer.note_commit(2)
    assert (buffer.draft, buffer.ended) == ((b" ran off",), True)
    buffer.offer(block((b"the cow",), b" ran off again", seq=2))
    assert (buffer.draft, buffer.ended) == ((b" ran off again",), False)


def test_a_pause_of_a_branch_is_over_with_the_next_commit(buffer: DraftBuffer) -> None:
    """As the drafter's own is."""
    buffer.offer(block((b"the ",), b"cat sat", seq=1))
    buffer.offer(branch((b"the c",), b"ow", b" ran off", paused=True))
    buffer.settle((b"cow",))
    buffer.settle((b" ran",))
    assert (buffer.draft, buffer.is_guess, buffer.ended) == ((b" off",), True, False)


@pytest.mark.parametrize("is_told", [False, True])
def test_a_branch_that_comes_late_is_the_draft_all_the_same(buffer: DraftBuffer, *, is_told: bool) -> None:
    """The target has taken it while it was on its way; until the drafter has been heard, it is a guess."""
    buffer.offer(block((b"the ",), b"cat sat", seq=1))
    buffer.settle((b"cow",))
    if is_told:
        buffer.note_commit(2)
    assert buffer.offer(branch((b"the c",), b"ow", b" ran off"))
    assert (buffer.draft, buffer.is_guess) == ((b" ran off",), True)
    buffer.note_commit(3 if is_told else 2)
    assert buffer.offer(block((b"the cow",), b" ran away", seq=2))
    assert (buffer.draft, buffer.is_guess) == ((b" ran away",), False)


def test_a_branch_that_comes_late_leaves_a_draft_alone(buffer: DraftBuffer) -> None:
    """What the drafter has said since counts; it is a branch of that."""
    buffer.offer(block((b"the ",), b"cat sat", seq=1))
    buffer.settle((b"cow",))
    buffer.note_commit(2)
    buffer.offer(block((b"the cow",), b" ate", seq=1))
    assert buffer.offer(branch((b"the c",), b"ow", b" ran off"))
    assert (buffer.draft, buffer.branches) == ((b" ate",), (((b" ran off",), False),))


@pytest.fixture
def twice_torn(buffer: DraftBuffer) -> DraftBuffer:
    """The buffer with the draft ``cat sat``, its branch ``cow ran off``, and of that ``cow runs``, ``cow ran to``."""
    buffer.offer(block((b"the ",), b"cat sat", seq=1))
    buffer.offer(branch((b"the c",), b"ow", b" ran off"))
    assert buffer.offer(branch((b"the cow r",), b"uns", b" home"))
    assert buffer.offer(branch((b"the cow ran ",), b"to", b" me"))
    return buffer


def test_branches_have_branches(twice_torn: DraftBuffer) -> None:
    """They are those of the draft when the target has taken the one that they part from."""
    assert not twice_torn.settle((b"cow",))
    assert twice_torn.draft == (b" ran off",)
    assert [text for text, _ in twice_torn.branches] == [(b" runs home",), (b" ran to me",)]
    assert twice_torn.settle((b" ran",))
    assert [text for text, _ in twice_torn.branches] == [(b" to me",)]
    assert not twice_torn.settle((b" to",))
    assert (twice_torn.draft, twice_torn.is_guess, twice_torn.branches) == ((b" me",), True, ())


def test_a_branch_of_a_branch_may_be_taken_at_once(twice_torn: DraftBuffer) -> None:
    """Where more is committed than the token that parts from the draft."""
    assert not twice_torn.settle((b"cow", b" runs"))
    assert (twice_torn.draft, twice_torn.is_guess) == ((b" home",), True)
    assert twice_torn.take_wasted_bytes() == len(b"cat sat" + b"ow ran off" + b"to me")


def test_branches_of_what_is_not_known_are_wasted(twice_torn: DraftBuffer) -> None:
    """And with the branch that the target has not taken, those of it."""
    assert not twice_torn.offer(branch((b"the cow sat",), b" down"))
    assert not twice_torn.settle((b"dog",))
    assert (twice_torn.branches, twice_torn.draft) == ((), ())
    assert not twice_torn.offer(branch((b"the cow ran",), b" away"))


@pytest.mark.parametrize(("paused", "draft"), [(False, b" barks"), (True, b" bar")])
def test_a_branch_goes_on_with_the_one_at_its_end(buffer: DraftBuffer, *, paused: bool, draft: bytes) -> None:
    """Unless drafting would pause between them."""
    buffer.offer(block((b"the ",), b"cat sat", seq=1))
    buffer.offer(branch((b"the ",), b"dog", b" bar", paused=paused))
    buffer.offer(branch((b"the dog bar",), b"ks"))
    buffer.settle((b"dog",))
    assert buffer.draft == (draft,)


def test_a_branch_counts_with_what_it_follows() -> None:
    """However many are drawn one after the other, none is longer than a draft may be."""
    buffer = DraftBuffer(DraftLimits(max_ahead_tokens=8, max_kept_bytes=20))
    buffer.offer(block((), b"0123456789"))
    assert buffer.offer(branch((b"01234567",), b"x" * 10, seq=0))
    assert buffer.offer(branch((b"01234567" + b"x" * 10,), b"y" * 2, seq=0))
    assert not buffer.offer(branch((b"01234567" + b"x" * 10,), b"y" * 3, seq=0))


def test_another_drafter_knows_no_branches(torn: DraftBuffer) -> None:
    """Those of the one before are gone with it."""
    torn.offer(branch((b"the cow",), b" sat"))
    torn.restart()
    torn.offer(block((b"the cow",), b" r"))
    torn.settle((b" s",))
    assert torn.is_empty


def test_too_many_branches_are_a_flood(buffer: DraftBuffer) -> None:
    """Under one commit."""
    buffer.offer(block((b"the ",), b"cat", seq=1))
    for _ in range(LIMITS.max_branches):
        buffer.offer(branch((b"the c",), b"ow"))
    with pytest.raises(MalformedBlockError, match="branches"):
        buffer.offer(branch((b"the c",), b"ow"))


def test_a_branch_has_its_limit(buffer: DraftBuffer) -> None:
    """As a draft has."""
    with pytest.raises(MalformedBlockError, match="branch of 17 tokens"):
        buffer.offer(branch((b"the ",), *(b"x",) * 17))


@pytest.fixture
def buffer() -> DraftBuffer:
    """A buffer after the committed text ``the ``, with the commit that says so sent."""
    buffer = DraftBuffer(LIMITS)
    buffer.settle((b"the ",))
    buffer.note_commit(1)
    return buffer


def test_a_block_that_continues_is_kept(buffer: DraftBuffer) -> None:
    """Blocks one after the other add up."""
    assert buffer.offer(block((b"the ",), b"cat", seq=1))
    assert buffer.offer(block((b"the cat",), b" sat", b" on", seq=1))
    assert buffer.draft == (b"cat sat on",)


def test_a_block_elsewhere_is_wasted(buffer: DraftBuffer) -> None:
    """The same length with another hash is another text."""
    assert not buffer.offer(block((b"any ",), b"dog", seq=1))
    assert (buffer.draft, buffer.take_wasted_bytes(), buffer.take_wasted_bytes()) == ((), 3, 0)


def test_the_commit_of_a_block_does_not_matter(buffer: DraftBuffer) -> None:
    """A block drawn before the last commit is kept if its prefix fits: its agreeing overlap is trimmed."""
    assert buffer.offer(block((b"t",), b"he c", seq=0))
    assert buffer.draft == (b"c",)


def test_an_overlap_that_differs_is_wasted(buffer: DraftBuffer) -> None:
    """A block that contradicts committed or kept text is dropped whole."""
    buffer.offer(block((b"the ",), b"cat", seq=1))
    assert not buffer.offer(block((b"the ",), b"cot", b"!", seq=1))
    assert buffer.draft == (b"cat",)


def test_an_agreeing_commit_keeps_the_rest(buffer: DraftBuffer) -> None:
    """What the target says along the draft is trimmed from it, and nothing is wasted."""
    buffer.offer(block((b"the ",), b"cat sat", seq=1))
    assert buffer.settle((b"ca", b"t"))
    assert (buffer.draft, buffer.take_wasted_bytes()) == ((b" sat",), 0)


def test_a_commit_beyond_the_draft_agrees(buffer: DraftBuffer) -> None:
    """The target says the whole draft and more: later blocks still fit."""
    buffer.offer(block((b"the ",), b"cat", seq=1))
    assert buffer.settle((b"cat sat",))
    assert buffer.offer(block((b"the cat",), b" sat on", seq=1))
    assert (buffer.draft, buffer.take_wasted_bytes()) == ((b" on",), 0)


def test_a_commit_that_differs_drops_the_draft(buffer: DraftBuffer) -> None:
    """The draft is wasted, and blocks that continue it no longer fit."""
    buffer.offer(block((b"the ",), b"cat", seq=1))
    assert not buffer.settle((b"cow",))
    assert not buffer.offer(block((b"the cat",), b"!", seq=1))
    assert (buffer.draft, buffer.take_wasted_bytes()) == ((), 4)


def test_roles_are_part_of_the_text(buffer: DraftBuffer) -> None:
    """A role has no bytes, yet text before and after it is told apart."""
    buffer.offer(block((b"the ",), b"end", Role.EOS, seq=1))
    assert buffer.draft == (b"end", Role.EOS)
    assert buffer.offer(block((b"the end", Role.EOS), b"more", seq=1))
    assert not buffer.offer(block((b"the end",), b"more", seq=1))


@pytest.mark.parametrize(
    ("last", "ended"),
    [
        (block((b"the ",), b"cat", seq=1, paused=True), True),
        (block((b"the ",), b"cat", seq=1), False),
        (block((b"the ",), b"cat", Role.EOS, seq=1), True),
        (block((b"the ",), b"cat", Role.PAD, seq=1), False),
        (block((b"t",), b"he cat", seq=0, paused=True), False),
    ],
)
def test_a_draft_has_ended_when_no_more_can_come(buffer: DraftBuffer, last: Block, *, ended: bool) -> None:
    """It ends with a terminal role, or with a pause that no commit has made void."""
    buffer.offer(last)
    assert buffer.ended is ended


def test_a_commit_makes_a_pause_void(buffer: DraftBuffer) -> None:
    """The drafter goes on after a commit that agrees."""
    buffer.offer(block((b"the ",), b"cat", seq=1, paused=True))
    buffer.settle((b"c",))
    assert not buffer.ended


def test_old_text_is_forgotten(buffer: DraftBuffer) -> None:
    """Only so much committed text is remembered; blocks that start before it are wasted, later ones fit."""
    buffer.settle((b"x" * 100,))
    assert not buffer.offer(block((b"the ",), b"x" * 100, b"!", seq=1))
    assert buffer.offer(block((b"the " + b"x" * 95,), b"xxxxx!", seq=1))
    assert buffer.draft == (b"!",)


def test_a_flood_of_tokens_is_malformed(buffer: DraftBuffer) -> None:
    """More tokens under one commit than twice the allowance: the drafter ignores its limit."""
    buffer.offer(block((b"the ",), *(b"a",) * 16, seq=1))
    with pytest.raises(MalformedBlockError, match="floods"):
        buffer.offer(block((b"the " + b"a" * 16,), b"a", seq=1))


def test_a_flood_of_bytes_is_malformed() -> None:
    """A few gigantic tokens are a flood too."""
    buffer = DraftBuffer(DraftLimits(max_ahead_tokens=8, max_kept_bytes=10))
    with pytest.raises(MalformedBlockError, match="floods"):
        buffer.offer(block((), b"a" * 11))


@pytest.mark.parametrize("seq", [2, 0])
def test_a_commit_that_cannot_have_been_applied_is_malformed(buffer: DraftBuffer, seq: int) -> None:
    """A drafter cannot have applied a commit that was never sent, nor go back to an earlier one."""
    buffer.offer(block((b"the ",), b"a", seq=1))
    with pytest.raises(MalformedBlockError, match="commit"):
        buffer.offer(block((b"the a",), b"a", seq=seq))


def test_a_new_drafter_starts_afresh(buffer: DraftBuffer) -> None:
    """The draft of the one before is dropped, and commits count from 0 again."""
    buffer.offer(block((b"the ",), b"cat", seq=1))
    buffer.restart()
    assert buffer.is_empty
    assert buffer.offer(block((b"the ",), b"dog", seq=0))
