"""Evidence on the wire: proposal distributions and translation probabilities."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import starmap

from draftmesh.core.errors import InvalidRequestError
from draftmesh.core.evidence import Evidence, ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.v1 import common_pb2

_PSI_TOLERANCE = 1e-6
"""How far above 1 a sum of double-precision path probabilities may land."""


def evidence_to_proto(evidence: Evidence | None) -> common_pb2.Evidence | None:
    """Evidence for the wire; the weights of a proposal are single-precision numbers already."""
    match evidence:
        case None:
            return None
        case ProposalEvidence(positions):
            return common_pb2.Evidence(proposal=common_pb2.ProposalEvidence(positions=map(_sparse_to_proto, positions)))
        case PsiEvidence(values, missing_next):
            return common_pb2.Evidence(psi=common_pb2.PsiEvidence(values=values, missing_next=missing_next))


def evidence_from_proto(message: common_pb2.Evidence) -> Evidence | None:
    """Evidence of the right shape, or None when it is unset; ``core.evidence.check_evidence`` looks at what it says."""
    match message.WhichOneof("kind"):
        case "proposal":
            return ProposalEvidence(tuple(starmap(_sparse_from_proto, enumerate(message.proposal.positions))))
        case "psi":
            return PsiEvidence(psi_from_proto(message.psi.values, "evidence.psi.values"), message.psi.missing_next)
        case _:
            return None


def psi_from_proto(values: Iterable[float], field: str) -> tuple[float, ...]:
    """Probabilities of translations, each in [0, 1] up to rounding."""
    psi = tuple(values)
    for index, value in enumerate(psi):
        if not 0.0 <= value <= 1.0 + _PSI_TOLERANCE:
            raise InvalidRequestError(f"{field}[{index}] must be in [0, 1], got {value:g}")
    return psi


def _sparse_to_proto(distribution: SparseDistribution) -> common_pb2.SparseDistribution:
    return common_pb2.SparseDistribution(ids=distribution.ids, probabilities=distribution.weights)


def _sparse_from_proto(index: int, message: common_pb2.SparseDistribution) -> SparseDistribution:
    ids, weights = tuple(message.ids), tuple(message.probabilities)
    if len(ids) != len(weights):
        raise InvalidRequestError(
            f"evidence.proposal.positions[{index}] has {len(ids)} ids, but {len(weights)} probabilities"
        )
    return SparseDistribution(ids, weights)
