"""Evidence: what a drafter says of its draws, and what contradicts itself."""

from __future__ import annotations

import pytest

from draftmesh.core.errors import MalformedBlockError
from draftmesh.core.evidence import Evidence, ProposalEvidence, PsiEvidence, SparseDistribution, check_evidence
from draftmesh.core.sampling import Method

VOCABULARY_SIZE = 10
EVEN = SparseDistribution((1, 2), (0.5, 0.5))


def proposal(*positions: SparseDistribution) -> ProposalEvidence:
    """Evidence of these distributions."""
    return ProposalEvidence(positions)


def test_a_probability_is_the_weight_over_the_sum() -> None:
    """Weights that were rounded apart from mass 1 still name a distribution."""
    rounded = SparseDistribution((3, 7), (0.25, 0.25))
    assert [rounded.probability(token) for token in (3, 7, 1)] == [0.5, 0.5, 0.0]


@pytest.mark.parametrize(
    ("method", "draft", "evidence"),
    [
        (Method.TLI, (1, 2), proposal(EVEN, EVEN)),
        (Method.REJECTION, (2,), proposal(EVEN)),
        (Method.SLRS, (1, 2), PsiEvidence((0.25, 1.0))),
        (Method.SLRS, (), PsiEvidence((), missing_next=True)),
        (Method.EXACT, (1,), None),
        (Method.TLI_EXACT, (1,), None),
        (Method.OFF, (), None),
    ],
)
def test_evidence_that_fits_passes(method: Method, draft: tuple[int, ...], evidence: Evidence | None) -> None:
    """Each method takes its own kind."""
    check_evidence(method, draft, evidence, VOCABULARY_SIZE)


@pytest.mark.parametrize(
    ("method", "draft", "evidence", "message"),
    [
        (Method.TLI, (1,), None, "needs the proposal distribution"),
        (Method.TLI, (1,), PsiEvidence((0.5,)), "needs the proposal distribution"),
        (Method.SLRS, (1,), proposal(EVEN), "needs ψ"),
        (Method.SLRS, (1,), None, "needs ψ"),
        (Method.EXACT, (1,), proposal(EVEN), "takes no evidence"),
        (Method.TLI, (1, 2), proposal(EVEN), "1 positions for 2 draft tokens"),
        (Method.TLI, (3,), proposal(EVEN), "outside its own distribution"),
        (Method.TLI, (1,), proposal(SparseDistribution((1, 2), (0.0, 1.0))), "outside its own distribution"),
        (Method.TLI, (1,), proposal(SparseDistribution((1, 1), (0.5, 0.5))), "names an id twice"),
        (Method.TLI, (1,), proposal(SparseDistribution((1, 10), (0.5, 0.5))), "outside the vocabulary of 10"),
        (Method.TLI, (1,), proposal(SparseDistribution((1, 2), (0.5,))), "2 ids, but 1 probabilities"),
        (Method.TLI, (1,), proposal(SparseDistribution((1, 2), (1.5, -0.5))), r"outside \[0, 1\]"),
        (Method.TLI, (1,), proposal(SparseDistribution((1, 2), (0.5, float("nan")))), r"outside \[0, 1\]"),
        (Method.TLI, (1,), proposal(SparseDistribution((1, 2), (0.5, 0.4))), "add up to 0.9"),
        (Method.SLRS, (1,), PsiEvidence((0.5, 0.5)), "2 values of ψ for 1 draft tokens"),
        (Method.SLRS, (1,), PsiEvidence((0.0,)), "a chance in"),
        (Method.SLRS, (1,), PsiEvidence((float("nan"),)), "a chance in"),
        (Method.SLRS, (1,), PsiEvidence((1.1,)), "a chance in"),
    ],
)
def test_evidence_that_contradicts_itself_is_refused(
    method: Method, draft: tuple[int, ...], evidence: Evidence | None, message: str
) -> None:
    """The message says what is wrong."""
    with pytest.raises(MalformedBlockError, match=message):
        check_evidence(method, draft, evidence, VOCABULARY_SIZE)


def test_a_part_forgets_what_a_cut_takes_away() -> None:
    """A proposal that translates to nothing is part of a block's end alone."""
    whole = PsiEvidence((0.1, 0.2, 0.3), missing_next=True)
    assert whole.part(1, 2) == PsiEvidence((0.2, 0.3), missing_next=True)
    assert whole.part(0, 2) == PsiEvidence((0.1, 0.2))
    assert proposal(EVEN, EVEN).part(1, 1) == proposal(EVEN)
