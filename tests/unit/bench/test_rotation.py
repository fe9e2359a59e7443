"""Who goes first."""

from __future__ import annotations

from draftmesh.bench.rotation import rotated


def test_everybody_goes_first_in_turn() -> None:
    """All take part each time, in one order."""
    assert [rotated("abc", turn) for turn in range(4)] == [tuple("abc"), tuple("bca"), tuple("cab"), tuple("abc")]
    assert rotated((), 2) == ()
