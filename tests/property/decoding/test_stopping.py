"""Stopping does not depend on how tokens are grouped, and never delivers what a stop string takes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from draftmesh.core.sampling import FinishReason, StopConditions
from draftmesh.core.text import Role
from draftmesh.decoding.stopping import StopMatcher, StopTracker
from tests.helpers.fakes_token_table import FakeTokenTable
from tests.helpers.reference_decoding import reference_stop

TABLE = FakeTokenTable([b"a", b"b", b"ab", b"ba", b"aab", Role.EOS, Role.PAD, b"\xc3", b"abab"])
BYTES = st.text("ab", max_size=5).map(str.encode)
STOPS = st.lists(st.text("ab", min_size=1, max_size=6).map(str.encode), max_size=3).map(tuple)
CONDITIONS = st.builds(StopConditions, max_tokens=st.integers(1, 30), stop=STOPS, ignore_eos=st.booleans())
GROUPS = st.lists(st.lists(st.integers(0, len(TABLE) - 1), max_size=6), max_size=8)


@given(CONDITIONS, st.none() | st.integers(1, 20), GROUPS)
def test_any_grouping_settles_as_the_whole_text_says(
    conditions: StopConditions, room_tokens: int | None, groups: list[list[int]]
) -> None:
    """Tokens in any groups end where looking at the whole text after every token ends them."""
    tracker = StopTracker(conditions, TABLE, room_tokens=room_tokens)
    kept: list[int] = []
    outcome: tuple[FinishReason | None, int | None] = (None, None)
    for group in groups:
        settled = tracker.settle(group)
        kept.extend(settled.tokens)
        outcome = settled.finish_reason, settled.text_length
    ids = [token for group in groups for token in group]
    expected, *expected_outcome = reference_stop(TABLE, conditions, room_tokens, ids)
    assert (kept, list(outcome)) == (ids[:expected], expected_outcome)


@given(STOPS, st.lists(BYTES, max_size=8))
def test_the_safe_length_holds_back_exactly_a_possible_beginning(stop: tuple[bytes, ...], pieces: list[bytes]) -> None:
    """What is held back is the longest suffix that begins a stop string: no more, and no less."""
    matcher, text = StopMatcher(stop), b""
    for piece in pieces:
        text += piece
        if matcher.push(piece) is not None:
            break
        suffixes = [text[start:] for start in range(len(text))]
        pending = max((len(s) for s in suffixes if any(t.startswith(s) for t in stop)), default=0)
        assert matcher.safe_length == len(text) - pending


@given(STOPS, st.lists(BYTES, max_size=8))
def test_what_was_safe_stays_safe(stop: tuple[bytes, ...], pieces: list[bytes]) -> None:
    """The safe length never shrinks, so a stop string never starts inside delivered text."""
    matcher, lengths = StopMatcher(stop), [0]
    for piece in pieces:
        matcher.push(piece)
        lengths.append(matcher.safe_length)
    assert lengths == sorted(lengths)
