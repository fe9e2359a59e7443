"""The rule by which ``slrs`` reads a draft."""

from __future__ import annotations

import pytest

from draftmesh.core.text import Item, Role
from draftmesh.decoding.longest_match import LongestMatch, Reading
from tests.helpers.fakes_token_table import FakeTokenTable

TABLE = FakeTokenTable([b"a", b"b", b"ab", b"abcd", Role.EOS, b"a", b"\xff", b"\xff", Role.UNK], fallback={6})
A, B, AB, ABCD, EOS, TWIN, PIECE, PLAIN, UNK = range(9)
RULE = LongestMatch(TABLE, 16)


@pytest.mark.parametrize(
    ("items", "ids"),
    [
        ([], ()),
        ([b"a"], ()),
        ([b"b"], (B,)),
        ([b"ab"], ()),
        ([b"abc"], ()),
        ([b"abcd"], (ABCD,)),
        ([b"aba"], (AB,)),
        ([b"abb"], (AB, B)),
        ([b"a", b"bb", b"b"], (AB, B, B)),
        ([b"ab", Role.EOS], (AB, EOS)),
        ([b"a", b"", Role.EOS], (A, EOS)),
        ([Role.EOS], (EOS,)),
        ([Role.EOS, b"b"], (EOS,)),
    ],
)
def test_a_token_is_settled_once_no_longer_one_can_follow(items: list[Item], ids: tuple[int, ...]) -> None:
    """The longest token wins, and is certain when the text is no beginning of a longer one, or ends."""
    assert RULE.read(items, limit=9) == Reading(ids)


def test_reading_stops_at_the_limit() -> None:
    """What follows is not looked at, not even to find that it is no token."""
    assert RULE.read([b"bbz"], limit=2) == Reading((B, B))
    assert RULE.read([b"b", Role.EOS], limit=1) == Reading((B,))


@pytest.mark.parametrize("items", [[b"bz"], [b"bcab"], [b"b", Role.END_OF_TURN], [b"b", Role.UNK], [b"b", b"zzzz"]])
def test_text_that_begins_with_no_token_is_missing(items: list[Item]) -> None:
    """Bytes or roles that the target cannot say; nothing is read after them."""
    assert RULE.read(items, limit=9) == Reading((B,), missing=True)


def test_text_that_may_yet_begin_with_a_token_is_not_missing() -> None:
    """``cd`` alone is a token only as a whole; ``c`` waits for it."""
    rule = LongestMatch(FakeTokenTable([b"cd"]), 16)
    assert rule.read([b"c"], limit=1) == Reading(())
    assert rule.read([b"c", Role.EOS], limit=1) == Reading((), missing=True)


def test_the_cap_hides_longer_tokens() -> None:
    """They are neither read nor waited for."""
    assert LongestMatch(TABLE, 2).read([b"abb"], limit=9) == Reading((AB, B))
    assert LongestMatch(TABLE, 2).read([b"ab"], limit=9) == Reading((AB,))
    assert LongestMatch(TABLE, 1).read([b"ab"], limit=9) == Reading((A, B))


def test_of_equal_bytes_the_one_that_is_no_byte_piece_is_read() -> None:
    """Then the lowest id."""
    assert RULE.read([b"\xffb"], limit=1) == Reading((PLAIN,))
    assert RULE.read([b"az"], limit=1) == Reading((A,))


def test_ids_without_a_row_are_no_tokens() -> None:
    """A table may be longer than the model's head."""
    rule = LongestMatch(TABLE, 16, vocabulary_size=2)
    assert rule.read([b"ab"], limit=9) == Reading((A, B))
    assert rule.read([Role.EOS], limit=9) == Reading((), missing=True)


def test_rest_is_the_text_after_the_first_tokens() -> None:
    """Roles have no bytes."""
    assert RULE.rest([b"ab", b"bz", Role.EOS], (AB, B)) == b"z"
