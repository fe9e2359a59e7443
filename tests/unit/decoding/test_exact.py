"""The acceptance rule of ``exact``."""

from __future__ import annotations

import pytest

from draftmesh.decoding.exact import Acceptance, accept


@pytest.mark.parametrize(
    ("draft", "drawn", "expected"),
    [
        ((), (4,), Acceptance(0, (4,))),
        ((1, 2), (1, 2, 3), Acceptance(2, (1, 2, 3))),
        ((1, 2), (1, 5, 3), Acceptance(1, (1, 5))),
        ((1, 2), (7, 2, 3), Acceptance(0, (7,))),
    ],
)
def test_a_draft_is_kept_up_to_the_first_difference(
    draft: tuple[int, ...], drawn: tuple[int, ...], expected: Acceptance
) -> None:
    """Equal draws are accepted, then the draw that differs (recovered) or comes last (bonus) is committed."""
    assert accept(draft, drawn) == expected
