"""What a draft tree asks for."""

from __future__ import annotations

import pytest

from draftmesh.core.errors import InternalError
from draftmesh.core.evidence import SparseDistribution
from draftmesh.core.text import Role
from draftmesh.decoding.longest_match import LongestMatch
from draftmesh.decoding.psi import PsiTree, TreeBounds
from tests.helpers.fakes_token_table import FakeTokenTable
from tests.helpers.toy_blocks import AMPLE

TARGET = FakeTokenTable([b"a", b"b", b"ab", Role.EOS, b"abcd", b"a", None])
DRAFTER = FakeTokenTable([b"a", b"b", b"c", Role.EOS])
A, B, AB, EOS, LONG, TWIN, HOLE = range(7)
HALVES = SparseDistribution((0, 1), (0.5, 0.5))


def tree(cap_bytes: int = 2, bounds: TreeBounds = AMPLE) -> PsiTree:
    """A tree that knows nothing."""
    return PsiTree(LongestMatch(TARGET, cap_bytes), DRAFTER, bounds)


def test_the_base_is_asked_for_first() -> None:
    """Whatever the sequence, its draft begins with a draw at the base; it is asked for once."""
    assert tree().missing([(A,), (B,), (A, B)]) == ((),)


def test_only_undetermined_paths_are_followed() -> None:
    """``a`` may become ``ab``, so its distribution matters to both; after ``b`` nothing is open."""
    known = tree()
    known.add((), HALVES)
    assert known.missing([(A,), (AB,), (B,)]) == ((0,),)
    assert known.missing([(B,)]) == ()
    assert known.psi((B,)) == 0.5


def test_psi_is_not_the_probability_of_a_prefix() -> None:
    """Half of the drafts that begin with ``a`` are read as ``ab``."""
    known = tree()
    known.add((), HALVES)
    known.add((0,), HALVES)
    assert (known.psi((A,)), known.psi((AB,)), known.psi((B,))) == (0.25, 0.25, 0.5)


def test_tokens_without_weight_are_not_followed() -> None:
    """A path of probability 0 asks for nothing."""
    known = tree()
    known.add((), SparseDistribution((0, 1), (0.0, 1.0)))
    assert known.missing([(A,), (AB,), (A, B)]) == ()
    assert known.psi((A,)) == 0.0


@pytest.mark.parametrize("sequence", [(LONG,), (TWIN,), (HOLE,), (A, B), (EOS, A), (B, HOLE)])
def test_what_the_rule_never_reads_has_no_probability_and_no_cost(sequence: tuple[int, ...]) -> None:
    """Over the cap, a second id of the same bytes, no text, a longer token inside, text after the end."""
    known = tree()
    assert known.missing([sequence]) == ()
    assert known.psi(sequence) == 0.0


def test_an_end_settles_what_was_open() -> None:
    """After ``a`` the end leaves no ``ab`` to wait for."""
    known = tree()
    known.add((), HALVES)
    known.add((0,), SparseDistribution((3,), (1.0,)))
    assert (known.psi((A, EOS)), known.psi((AB,))) == (0.5, 0.0)


def test_a_distribution_is_divided_by_its_sum() -> None:
    """Weights add up to 1 but for rounding; ψ is of what was sampled."""
    known = tree()
    known.add((), SparseDistribution((0, 1), (0.5, 0.25)))
    assert known.psi((B,)) == 0.25 / 0.75


def test_psi_is_refused_while_its_tree_is_unknown() -> None:
    """A sum over a part of the paths would be no probability of anything."""
    with pytest.raises(InternalError):
        tree().psi((A,))


def test_a_tree_says_what_it_knows() -> None:
    """So that rows that were computed while drafting are not computed again."""
    known = tree()
    known.add((0, 1), HALVES)
    assert (0, 1) in known
    assert () not in known
    assert len(known) == 1
