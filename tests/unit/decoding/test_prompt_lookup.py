"""What followed where the end of a text occurred before."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from draftmesh.decoding.prompt_lookup import PromptLookup


def lookup_of(*ids: int) -> PromptLookup:
    """Of a text that has come in two parts."""
    lookup = PromptLookup()
    lookup.extend(ids[:2])
    lookup.extend(ids[2:])
    return lookup


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ((1, 2, 3), ()),
        ((1, 2, 3, 1), (2, 3, 1)),
        ((1, 2, 3, 9, 2, 4, 9, 1, 2), (3, 9, 2)),  # two tokens match better than the newer one
        ((1, 2, 3, 1, 2, 4, 1, 2), (4, 1, 2)),  # of two that are as long the newer one
        ((7, 7, 7), (7, 7, 7)),
        ((5, 1, 2, 1, 2), (1, 2, 1)),
        ((), ()),
    ],
)
def test_what_followed_the_longest_match_is_what_may_follow(text: tuple[int, ...], found: tuple[int, ...]) -> None:
    """A text that repeats itself goes on so, beyond what there is of it."""
    assert lookup_of(*text).next_ids(3) == found


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 9))
def test_what_is_found_did_follow_the_last_token(text: list[int], count: int) -> None:
    """However the text came, and nothing is found only where the last token is new."""
    lookup = PromptLookup()
    for token in text:
        lookup.extend([token])
    found = lookup.next_ids(count)
    assert len(lookup) == len(text)
    is_new = not text or text[-1] not in text[:-1]
    assert len(found) == (0 if is_new else count)
    if found:
        assert (text[-1], found[0]) in set(pairwise(text))
    assert found == lookup_of(*text).next_ids(count)
