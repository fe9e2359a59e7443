"""What a drafter says about how its proposal was drawn; which kind is needed is the method's business."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from draftmesh.core.errors import MalformedBlockError
from draftmesh.core.sampling import Method

_MASS_TOLERANCE = 1e-3
"""How far single-precision probabilities may be from mass 1."""

_PSI_TOLERANCE = 1e-6
"""How far above 1 a sum of double-precision path probabilities may land."""


@dataclass(frozen=True, slots=True)
class SparseDistribution:
    """A proposal distribution q′ with finite support: exactly what the drafter sampled from.

    Both sides divide by the sum of the weights in float64, so that what is reported is what was sampled, to the last
    bit, whatever the weights were rounded to on the way.
    """

    ids: tuple[int, ...]
    """Target token ids, distinct."""

    weights: tuple[float, ...]
    """One for each id, not negative, each a single-precision number; they add up to 1 but for rounding."""

    def probability(self, token: int) -> float:
        """q′ of a token; 0 outside the support."""
        return self.weights[self.ids.index(token)] / math.fsum(self.weights) if token in self.ids else 0.0


@dataclass(frozen=True, slots=True)
class ProposalEvidence:
    """One q′ for each drafted position (``tli``, ``rejection``)."""

    positions: tuple[SparseDistribution, ...]

    def part(self, start: int, length: int) -> ProposalEvidence:
        """The evidence of ``length`` draft tokens from index ``start``."""
        return ProposalEvidence(self.positions[start : start + length])


@dataclass(frozen=True, slots=True)
class PsiEvidence:
    """ψ of the target tokens that the draft translates to, each conditional on those before it (``slrs``)."""

    values: tuple[float, ...]

    missing_next: bool = False
    """After these tokens the draft translates to nothing: one more proposal, which counts as rejected."""

    def part(self, start: int, length: int) -> PsiEvidence:
        """The evidence of ``length`` draft tokens from index ``start``; a cut forgets what would have followed."""
        return PsiEvidence(
            self.values[start : start + length], self.missing_next and start + length >= len(self.values)
        )


Evidence = ProposalEvidence | PsiEvidence


def check_evidence(method: Method, draft_ids: Sequence[int], evidence: Evidence | None, vocabulary_size: int) -> None:
    """Refuse evidence that the method does not take, or that contradicts the draft or itself.

    Raises:
        MalformedBlockError: it does; the message says where.
    """
    match method:
        case Method.TLI | Method.REJECTION:
            if not isinstance(evidence, ProposalEvidence):
                raise MalformedBlockError(f"method {method.label} needs the proposal distribution of each draft token")
            _check_positions(draft_ids, evidence, vocabulary_size)
        case Method.SLRS:
            if not isinstance(evidence, PsiEvidence):
                raise MalformedBlockError("method slrs needs ψ of each draft token")
            _check_psi(draft_ids, evidence)
        case Method.OFF | Method.EXACT | Method.TLI_EXACT | Method.AUTO:
            if evidence is not None:
                raise MalformedBlockError(f"method {method.label} takes no evidence")
        case _:
            assert_never(method)


def _check_positions(draft_ids: Sequence[int], evidence: ProposalEvidence, vocabulary_size: int) -> None:
    if len(evidence.positions) != len(draft_ids):
        raise MalformedBlockError(f"evidence of {len(evidence.positions)} positions for {len(draft_ids)} draft tokens")
    for index, (token, position) in enumerate(zip(draft_ids, evidence.positions, strict=True)):
        _check_distribution(f"position {index}", position, vocabulary_size)
        if not position.probability(token) > 0.0:
            raise MalformedBlockError(f"draft token {token} at position {index} is outside its own distribution")


def _check_distribution(where: str, position: SparseDistribution, vocabulary_size: int) -> None:
    if len(position.ids) != len(position.weights):
        raise MalformedBlockError(f"{where} has {len(position.ids)} ids, but {len(position.weights)} probabilities")
    if len(set(position.ids)) != len(position.ids):
        raise MalformedBlockError(f"{where} names an id twice")
    if not all(0 <= token < vocabulary_size for token in position.ids):
        raise MalformedBlockError(f"{where} names an id outside the vocabulary of {vocabulary_size} tokens")
    if not all(0.0 <= weight <= 1.0 for weight in position.weights):
        raise MalformedBlockError(f"{where} has a probability outside [0, 1]")
    if not abs(math.fsum(position.weights) - 1.0) <= _MASS_TOLERANCE:
        raise MalformedBlockError(f"{where} has probabilities that add up to {math.fsum(position.weights):g}")


def _check_psi(draft_ids: Sequence[int], evidence: PsiEvidence) -> None:
    if len(evidence.values) != len(draft_ids):
        raise MalformedBlockError(f"{len(evidence.values)} values of ψ for {len(draft_ids)} draft tokens")
    for index, value in enumerate(evidence.values):
        if not 0.0 < value <= 1.0 + _PSI_TOLERANCE:
            raise MalformedBlockError(f"ψ of draft token {index} is {value:g}: what was drafted has a chance in (0, 1]")
