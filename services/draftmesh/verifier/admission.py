"""What a verifier takes: every request is checked here, once, before it touches the engine."""

from __future__ import annotations

from collections.abc import Sequence

from draftmesh.core.endpoint import VerifierInfo
from draftmesh.core.errors import (
    InvalidRequestError,
    InvalidTokenError,
    PromptEmptyError,
    PromptTooLongError,
    StateError,
    UnsupportedMethodError,
)
from draftmesh.core.evidence import check_evidence
from draftmesh.core.sampling import Method
from draftmesh.core.verify import VerifyOpen, VerifyRound
from draftmesh.decoding.noise_key import require_noise_key
from draftmesh.verifier.placement import proposes

METHODS = (Method.OFF, Method.EXACT, Method.TLI_EXACT, Method.TLI, Method.REJECTION, Method.SLRS)
"""Methods that a verifier judges: all but ``auto``, which stands for one of them."""


def check_open(request: VerifyOpen, info: VerifierInfo, vocabulary_size: int) -> None:
    """Refuse a session that this verifier cannot serve as asked.

    Raises:
        PromptEmptyError, InvalidTokenError, InvalidRequestError: the request is wrong.
        PromptTooLongError: prompt and ``max_tokens`` exceed the model's context.
        UnsupportedError: the method, or the noise key's version, is not offered here.
        StateError: the committed ids come from another target.
    """
    _check_target(request, info)
    if request.method not in info.methods:
        offered = ", ".join(method.label for method in info.methods)
        raise UnsupportedMethodError(f"method {request.method.label} is not offered here; offered: {offered}")
    request.sampling.validate()
    request.stop.validate(max_tokens_limit=info.max_context_tokens)
    require_noise_key(request.noise_key)
    if not request.prompt_ids:
        raise PromptEmptyError("the prompt has no tokens")
    _check_ids("prompt", request.prompt_ids, vocabulary_size)
    _check_ids("committed", request.committed_ids, vocabulary_size)
    _check_context(request, info.max_context_tokens)


def check_round(request: VerifyRound, method: Method, info: VerifierInfo, vocabulary_size: int) -> None:
    """Refuse a malformed round.

    Raises:
        InvalidRequestError: the draft is too long, or the method takes none, or no free run after it.
        InvalidTokenError: a draft id is outside the vocabulary.
        MalformedBlockError: the evidence is not of the method's kind, or contradicts the draft or itself.
    """
    if len(request.draft_ids) > info.max_draft_tokens:
        raise InvalidRequestError(
            f"a draft has at most {info.max_draft_tokens} tokens here, that of round {request.round} has "
            f"{len(request.draft_ids)}"
        )
    if method is Method.OFF and request.draft_ids:
        raise InvalidRequestError(f"round {request.round} has a draft, but the session's method is off")
    if method is Method.SLRS and proposes(request) and request.free_run:
        raise InvalidRequestError(f"round {request.round} has a block of slrs, which no free run may follow")
    _check_ids("draft", request.draft_ids, vocabulary_size)
    if request.draft_ids or request.evidence is not None:
        check_evidence(method, request.draft_ids, request.evidence, vocabulary_size)


def _check_target(request: VerifyOpen, info: VerifierInfo) -> None:
    if request.target_digest and request.target_digest != info.target_digest:
        raise StateError(
            f"the session belongs to target {request.target_digest.hex()}, this is {info.target_digest.hex()}"
        )


def _check_ids(what: str, ids: Sequence[int], vocabulary_size: int) -> None:
    wrong = next((token for token in ids if not 0 <= token < vocabulary_size), None)
    if wrong is not None:
        raise InvalidTokenError(f"{what} id {wrong} is outside the vocabulary of {vocabulary_size} tokens")


def _check_context(request: VerifyOpen, context_tokens: int) -> None:
    wanted = len(request.prompt_ids) + request.stop.max_tokens
    if wanted > context_tokens:
        raise PromptTooLongError(
            f"a prompt of {len(request.prompt_ids)} tokens and {request.stop.max_tokens} to generate exceed the "
            f"context of {context_tokens} tokens"
        )
