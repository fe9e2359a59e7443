"""Which sessions a drafter takes, and with what bounds: everything that can be said of an Open before any work."""

from __future__ import annotations

from dataclasses import replace

from draftmesh.core.draft import DraftOpen
from draftmesh.core.endpoint import DrafterInfo
from draftmesh.core.errors import InvalidRequestError, UnsupportedMethodError
from draftmesh.core.sampling import Method
from draftmesh.decoding.noise_key import require_noise_key
from draftmesh.drafter.config import DrafterConfig
from draftmesh.drafter.vocabularies import VocabularyStore
from draftmesh.tokenization.vocabulary import Vocabulary

MAX_PROPOSAL_SUPPORT = 4096
MAX_PSI_CAP_BYTES = 256


def admissible(
    request: DraftOpen, config: DrafterConfig, info: DrafterInfo, vocabularies: VocabularyStore
) -> tuple[DraftOpen, Vocabulary | None]:
    """The request as it is applied, and the target's vocabulary if it names one.

    Raises:
        UnsupportedMethodError: the method is not offered, or not for this target.
        UnsupportedError: the noise key's version is unknown here.
        InvalidRequestError: a number is outside its range, or the vocabulary's digest is missing.
        NotFoundError: the vocabulary is not registered.
    """
    if request.method not in info.methods:
        offered = ", ".join(method.label for method in info.methods)
        raise UnsupportedMethodError(f"method {request.method.label} is not offered here; offered: {offered}")
    require_noise_key(request.noise_key)
    _check_range("proposal_support", request.proposal_support, MAX_PROPOSAL_SUPPORT)
    _check_range("psi_cap_bytes", request.psi_cap_bytes, MAX_PSI_CAP_BYTES)
    target = _target(request, vocabularies)
    if request.method is Method.REJECTION and request.target_vocabulary_digest != info.vocabulary_digest:
        raise UnsupportedMethodError("method rejection needs the drafter's vocabulary to be the target's, id by id")
    ahead = request.max_ahead_tokens or config.default_ahead_tokens
    return replace(request, max_ahead_tokens=min(ahead, config.max_ahead_tokens)), target


def _target(request: DraftOpen, vocabularies: VocabularyStore) -> Vocabulary | None:
    if request.target_vocabulary_digest:
        return vocabularies.get(request.target_vocabulary_digest)
    if request.method.proposes_ids:
        raise InvalidRequestError(f"method {request.method.label} needs target_vocabulary_digest")
    return None


def _check_range(name: str, value: int, high: int) -> None:
    if not 1 <= value <= high:
        raise InvalidRequestError(f"{name} must be in [1, {high}], got {value}")
