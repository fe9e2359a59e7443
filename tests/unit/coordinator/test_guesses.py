"""Which drafts are sent ahead."""

from __future__ import annotations

import pytest

from draftmesh.coordinator.drafting.drafts import Draft
from draftmesh.coordinator.loop.guesses import Guess, chosen, distinct, guess


@pytest.mark.parametrize(
    ("text", "expected", "draft"),
    [
        ((1, 2, 3, 4, 5), (1, 2, 3), (4, 5)),
        ((1, 7, 8), (1, 7), (8,)),
        ((7, 8), (7,), (8,)),
        ((1, 2), (1, 2), ()),
        ((1, 7), (1, 7), ()),
        ((), (), ()),
    ],
)
def test_an_outcome_is_what_is_shared_and_a_token_more(
    text: tuple[int, ...], expected: tuple[int, ...], draft: tuple[int, ...]
) -> None:
    """The target always says a token of its own after what it accepts; only what follows is a draft."""
    found = guess({(): (1, 2)}, Draft(text))
    assert (found.expected_ids, found.draft) == (expected, Draft(draft))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ((1, 2, 3, 4, 5, 6, 7), Guess((1, 2, 3, 4, 5, 6), Draft((7,)), depth=2)),
        ((1, 2, 3, 4, 9, 6, 7), Guess((1, 2, 3, 4, 9), Draft((6, 7)), depth=2, partings=1)),
        ((1, 7, 8, 5, 6), Guess((1, 7, 8, 5), Draft((6,)), depth=2, partings=1)),
        ((1, 7, 5, 6), Guess((1, 7, 5), Draft((6,)), depth=2, partings=2)),
        ((1, 6, 5), Guess((1, 6), Draft((5,)), partings=1)),
        ((1, 2, 3, 4), Guess((1, 2, 3, 4), Draft(), depth=2, partings=1)),
    ],
)
def test_a_text_goes_on_after_drafts_that_were_sent(text: tuple[int, ...], found: Guess) -> None:
    """What the target says after one that was sent ahead has outcomes too."""
    assert guess({(): (1, 2), (1, 2, 3): (4, 5), (1, 7): (8,)}, Draft(text)) == found


def test_the_first_draft_for_an_outcome_counts() -> None:
    """A verifier would compute no other one."""
    one, same, other = Guess((1, 7), Draft((8,))), Guess((1, 7), Draft((9,))), Guess((1, 6), Draft((9,)))
    assert distinct([one, same, other]) == (one, other)


WHOLE = Guess((1, 2, 3), Draft((4,)))
NEXT = Guess((1, 2, 3, 4, 5), Draft((6,)), depth=2)
PARTS = [Guess((token,), Draft((4,)), partings=1) for token in (7, 8, 9)]
PARTS_NEXT = Guess((7, 4, 1), Draft((4,)), depth=2, partings=1)


@pytest.mark.parametrize(
    ("guesses", "room", "knows_whole", "sent"),
    [
        ([*PARTS, WHOLE], 2, False, (WHOLE, PARTS[0])),
        ([PARTS_NEXT, *PARTS, NEXT, WHOLE], 9, False, (WHOLE, NEXT, *PARTS)),
        ([PARTS_NEXT, *PARTS, NEXT, WHOLE], 12, False, (WHOLE, NEXT, *PARTS, PARTS_NEXT)),
        ([PARTS_NEXT, *PARTS, NEXT, WHOLE], 6, False, (WHOLE, *PARTS)),
        (PARTS, 2, False, (PARTS[0],)),
        (PARTS, 2, True, (PARTS[0], PARTS[1])),
        (PARTS, 0, False, ()),
    ],
)
def test_a_place_is_kept_for_the_likeliest_outcome(
    guesses: list[Guess], room: int, knows_whole: bool, sent: tuple[Guess, ...]
) -> None:
    """That the target accepts all; it may be drawn later than the others."""
    assert chosen(guesses, room, knows_whole=knows_whole) == sent
