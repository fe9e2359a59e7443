"""When a generation ends, and what can be delivered before."""

from __future__ import annotations

import pytest

from draftmesh.core.sampling import FinishReason, StopConditions
from draftmesh.core.text import Role
from draftmesh.decoding.stopping import Settled, StopMatcher, StopTracker
from tests.helpers.fakes_token_table import FakeTokenTable

TABLE = FakeTokenTable([b"a", b"b", b"c", b"abc", Role.EOS, Role.END_OF_TURN, Role.PAD, b"ab"])
A, B, C, ABC, EOS, END_OF_TURN, PAD, AB = range(8)


def test_a_stop_string_is_found_across_pieces() -> None:
    """The match's offset counts from the start of the stream."""
    matcher = StopMatcher((b"stop",))
    assert [matcher.push(piece) for piece in (b"a st", b"", b"o", b"p!")] == [None, None, None, 2]


def test_overlapping_beginnings_are_not_missed() -> None:
    """A failed beginning may hold the real one."""
    matcher = StopMatcher((b"aab",))
    assert [matcher.push(piece) for piece in (b"a", b"a", b"a", b"b")] == [None, None, None, 1]


def test_a_stop_string_that_begins_another_wins_by_completing_first() -> None:
    """The shorter of two with one beginning is completed by an earlier token."""
    matcher = StopMatcher((b"ends", b"end"))
    assert [matcher.push(piece) for piece in (b"e", b"n", b"d")] == [None, None, 0]


def test_of_several_completed_by_one_token_the_earliest_start_wins() -> None:
    """One piece completes both; the text ends before the one that starts first."""
    assert StopMatcher((b"c", b"bcd")).push(b"abcde") == 1


def test_a_match_completed_first_wins_over_an_earlier_start() -> None:
    """The token that completes a match ends the generation, though a longer match began before it."""
    matcher = StopMatcher((b"abcd", b"bc"))
    assert [matcher.push(piece) for piece in (b"ab", b"c")] == [None, 1]


def test_after_a_match_nothing_changes() -> None:
    """The first match is final."""
    matcher = StopMatcher((b"x",))
    assert [matcher.push(b"ax"), matcher.push(b"x"), matcher.safe_length] == [1, 1, 1]


def test_text_that_may_begin_a_stop_string_is_held_back() -> None:
    """Safe is what no later byte can make part of a match, and it comes free when the beginning fails."""
    matcher = StopMatcher((b"</end>", b"d!"))
    lengths = []
    for piece in (b"hello", b" </", b"end", b"x", b" d"):
        matcher.push(piece)
        lengths.append(matcher.safe_length)
    assert lengths == [5, 6, 6, 12, 13]


def test_without_stop_strings_everything_is_safe() -> None:
    """Nothing is held back for nothing."""
    matcher = StopMatcher(())
    matcher.push(b"hello")
    assert (matcher.push(b"!"), matcher.safe_length) == (None, 6)


@pytest.mark.parametrize("end", [EOS, END_OF_TURN])
def test_an_end_token_is_kept_and_adds_no_text(end: int) -> None:
    """Either end role finishes; tokens after it are dropped."""
    tracker = StopTracker(StopConditions(), TABLE)
    assert tracker.settle([A, ABC, end, B]) == Settled((A, ABC, end), FinishReason.EOS, 4)


def test_end_tokens_can_be_ignored() -> None:
    """With ignore_eos an end token is as any other."""
    tracker = StopTracker(StopConditions(ignore_eos=True), TABLE)
    assert tracker.settle([A, EOS, B]) == Settled((A, EOS, B))


def test_other_special_tokens_do_not_end() -> None:
    """Only the terminal roles end a generation."""
    assert StopTracker(StopConditions(), TABLE).settle([PAD, A]) == Settled((PAD, A))


def test_a_stop_string_cuts_the_text_but_keeps_its_token() -> None:
    """The completing token is the last; the text ends where the stop string starts."""
    tracker = StopTracker(StopConditions(stop=(b"bca",)), TABLE)
    assert tracker.settle([ABC, AB, C]) == Settled((ABC, AB), FinishReason.STOP, 1)


def test_max_tokens_ends_with_all_the_text() -> None:
    """The limit counts every token, those without bytes too."""
    tracker = StopTracker(StopConditions(max_tokens=3), TABLE)
    assert tracker.settle([A, PAD, ABC, B]) == Settled((A, PAD, ABC), FinishReason.LENGTH, 4)


def test_the_room_in_the_context_is_a_limit_as_well() -> None:
    """The smaller of max_tokens and the room ends the generation."""
    tracker = StopTracker(StopConditions(max_tokens=9), TABLE, room_tokens=2)
    assert tracker.settle([A, B, C]) == Settled((A, B), FinishReason.LENGTH, 2)


def test_no_room_ends_before_the_first_token() -> None:
    """A full context keeps nothing."""
    tracker = StopTracker(StopConditions(), TABLE, room_tokens=0)
    assert tracker.settle([A]) == Settled((), FinishReason.LENGTH, 0)


@pytest.mark.parametrize(
    ("last", "stop", "reason"),
    [(EOS, (), FinishReason.EOS), (C, (b"c",), FinishReason.STOP), (C, (), FinishReason.LENGTH)],
)
def test_at_the_limit_the_more_telling_reason_is_given(
    last: int, stop: tuple[bytes, ...], reason: FinishReason
) -> None:
    """An end token or a stop string at the last allowed token is reported as such."""
    tracker = StopTracker(StopConditions(max_tokens=2, stop=stop), TABLE)
    assert tracker.settle([A, last]).finish_reason == reason


def test_after_the_end_nothing_is_kept() -> None:
    """A finished generation keeps no token and repeats its reason."""
    tracker = StopTracker(StopConditions(), TABLE)
    tracker.settle([A, EOS])
    assert tracker.settle([A]) == Settled((), FinishReason.EOS, 1)


def test_remaining_tokens_count_down_to_the_end() -> None:
    """What may still be kept shrinks with each token and is nothing after the end."""
    tracker = StopTracker(StopConditions(max_tokens=5), TABLE)
    tracker.settle([A, B])
    before = tracker.remaining_tokens
    tracker.settle([EOS])
    assert (before, tracker.remaining_tokens) == (3, 0)
