"""Evidence on the wire: proposal distributions and translation probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import starmap

from draftmesh.core.errors import InvalidRequestError
from draftmesh.core.evidence import Evidence, ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.v1 import common_pb2

_MASS_TOLERANCE = 1e-3
"""How far a distribution of single-precision floats may be from mass 1."""

_PSI_TOLERANCE = 1e-6
"""How far above 1 a sum of double-precision path probabilities may land."""


def evidence_to_proto(evidence: Evidence | None) -> common_pb2.Evidence | None:
    """Evidence for the wire; probabilities of a proposal become single-precision floats."""
    match evidence:
        case None:
            return None
        case ProposalEvidence(positions):
            return common_pb2.Evidence(proposal=common_pb2.ProposalEvidence(positions=map(_sparse_to_proto, positions)))
        case PsiEvidence(values):
            return common_pb2.Evidence(psi=common_pb2.PsiEvidence(values=values))


def evidence_from_proto(message: common_pb2.Evidence) -> Evidence | None:
    """Checked evidence, or None when it is unset."""
    match message.WhichOneof("kind"):
        case "proposal":
            return ProposalEvidence(tuple(starmap(_sparse_from_proto, enumerate(message.proposal.positions))))
        case "psi":
            return PsiEvidence(psi_from_proto(message.psi.values, "evidence.psi.values"))
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
    return common_pb2.SparseDistribution(ids=distribution.ids, probabilities=distribution.probabilities)


def _sparse_from_proto(index: int, message: common_pb2.SparseDistribution) -> SparseDistribution:
    field = f"evidence.proposal.positions[{index}]"
    ids, probabilities = tuple(message.ids), tuple(message.probabilities)
    if len(ids) != len(probabilities):
        raise InvalidRequestError(f"{field} has {len(ids)} ids, but {len(probabilities)} probabilities")
    if len(set(ids)) != len(ids):
        raise InvalidRequestError(f"{field}.ids must be distinct")
    if not all(0.0 <= probability <= 1.0 for probability in probabilities):
        raise InvalidRequestError(f"{field}.probabilities must be in [0, 1]")
    if abs(math.fsum(probabilities) - 1.0) > _MASS_TOLERANCE:
        raise InvalidRequestError(f"{field}.probabilities must add up to 1, got {math.fsum(probabilities):g}")
    return SparseDistribution(ids, probabilities)
