"""What a drafter says about how its proposal was drawn; which kind is needed is the method's business."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SparseDistribution:
    """A proposal distribution q′ with finite support: exactly what the drafter sampled from."""

    ids: tuple[int, ...]
    """Target token ids, distinct."""

    probabilities: tuple[float, ...]
    """One for each id, summing to 1."""


@dataclass(frozen=True, slots=True)
class ProposalEvidence:
    """One q′ for each drafted position (``tli``, ``rejection``)."""

    positions: tuple[SparseDistribution, ...]


@dataclass(frozen=True, slots=True)
class PsiEvidence:
    """ψ of the target tokens that the draft translates to, each conditional on those before it (``slrs``)."""

    values: tuple[float, ...]


Evidence = ProposalEvidence | PsiEvidence
