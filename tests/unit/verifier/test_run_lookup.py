"""When a target that decodes alone judges what it may say by its own text."""

from __future__ import annotations

import pytest

from draftmesh.core.endpoint import CostPoint
from draftmesh.engine.stats import Sharing
from draftmesh.verifier.run_lookup import RunLookup, best_length

UNKNOWN = Sharing(1, 9, 1, 1, ())
"""Nobody has measured what rows cost."""

DEAR = Sharing(1, 9, 1, 1, (CostPoint(1, 10.0), CostPoint(2, 100.0)))
FLAT = (CostPoint(1, 60.0), CostPoint(8, 66.0))
STEEP = (CostPoint(1, 60.0), CostPoint(8, 480.0))
JUMP = (CostPoint(1, 10.0), CostPoint(8, 10.0), CostPoint(12, 10.5), CostPoint(16, 30.0), CostPoint(32, 60.0))


def test_what_followed_before_is_judged() -> None:
    """As much of it as there is room for, and nothing where nothing is known or no room is."""
    lookup = RunLookup(3)
    assert lookup.draft([1, 2, 3, 4, 1, 2], 8, UNKNOWN) == (3, 4, 1)
    assert lookup.draft([1, 2, 3, 4, 1, 2, 3], 2, UNKNOWN) == (4, 1)
    assert lookup.draft([1, 2, 3, 4, 1, 2, 3], 0, UNKNOWN) == ()
    assert lookup.draft([1, 2, 3, 4, 1, 2, 3, 9], 8, UNKNOWN) == ()


def test_what_stands_is_learnt_whether_it_was_judged_or_not() -> None:
    """So a text that begins to repeat itself is noticed, and one that ceases to."""
    lookup = RunLookup(4)
    text = [1, 2, 3, 4]
    begun = lookup.acceptance
    for _ in range(5):
        text += [1, 2, 3, 4]
        assert lookup.draft(text, 8, DEAR) == ()
    risen = lookup.acceptance
    for token in range(30):
        text += [1, 100 + token]
        lookup.draft(text[:-1], 8, DEAR)
    assert lookup.acceptance < begun < risen


@pytest.mark.parametrize(
    ("sharing", "acceptance", "length"),
    [
        (UNKNOWN, 0.1, 5),
        (Sharing(1, 9, 1, 1, FLAT), 0.9, 5),
        (Sharing(1, 9, 1, 1, FLAT), 0.01, 0),
        (Sharing(1, 9, 1, 1, STEEP), 0.999, 0),
        (Sharing(4, 99, 4, 4, FLAT), 0.9, 5),
        (Sharing(8, 99, 8, 8, JUMP), 0.5, 0),  # with one more row each, all would wait for three times as long
        (Sharing(8, 99, 8, 1, JUMP), 0.9, 4),  # up to where rows get dear
        (Sharing(12, 99, 4, 1, JUMP), 0.9, 0),  # who brings drafts is not to wait for what one looks up
    ],
)
def test_as_much_is_judged_as_pays(sharing: Sharing, acceptance: float, length: int) -> None:
    """By what stands of it, by what rows cost, and by who shares the step."""
    assert best_length(5, acceptance, sharing) == length
