"""VerifierService's messages to core values and back."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.endpoint import VerifierInfo
from draftmesh.core.errors import InternalError, InvalidRequestError, PromptEmptyError
from draftmesh.core.evidence import Evidence, ProposalEvidence
from draftmesh.core.fence import Fence
from draftmesh.core.verify import (
    PsiQuery,
    PsiReply,
    RoundStatus,
    RoundTimings,
    TokenLogprobs,
    Verdict,
    VerifyOpen,
    VerifyRound,
)
from draftmesh.transport import codec_common as common
from draftmesh.transport.codec_evidence import evidence_from_proto, evidence_to_proto, psi_from_proto
from draftmesh.v1 import common_pb2, verifier_pb2


@dataclass(frozen=True, slots=True)
class VerifyOpened:
    """A verifier's answer to :class:`VerifyOpen`."""

    target_digest: bytes
    """Weights, dtype and tokenizer."""

    max_draft_tokens: int
    """Draft tokens of a round at most."""


VerifyRequestMessage = VerifyOpen | VerifyRound | PsiReply
VerifyResponseMessage = VerifyOpened | Verdict | PsiQuery | common.Draining


def verify_request_to_proto(
    message: VerifyRequestMessage, fence: Fence, traceparent: str = ""
) -> verifier_pb2.VerifyRequest:
    """One message to a verifier."""
    request = verifier_pb2.VerifyRequest(fence=common.fence_to_proto(fence), traceparent=traceparent)
    match message:
        case VerifyOpen():
            request.open.CopyFrom(open_verify_to_proto(message))
        case VerifyRound():
            request.round.CopyFrom(round_to_proto(message))
        case PsiReply(query_id, psi):
            request.psi_reply.CopyFrom(verifier_pb2.PsiReply(query_id=query_id, psi=psi))
    return request


def verify_request_from_proto(request: verifier_pb2.VerifyRequest) -> VerifyRequestMessage:
    """What a message to a verifier says, checked. Its fence is read by ``fence_from_proto(request.fence)``."""
    match request.WhichOneof("message"):
        case "open":
            return open_verify_from_proto(request.open, common.fence_from_proto(request.fence))
        case "round":
            return round_from_proto(request.round)
        case "psi_reply":
            psi = psi_from_proto(request.psi_reply.psi, "psi_reply.psi")
            return PsiReply(request.psi_reply.query_id, psi)
        case _:
            raise InvalidRequestError("message: the request says nothing")


def verify_response_to_proto(message: VerifyResponseMessage, fence: Fence) -> verifier_pb2.VerifyResponse:
    """One message from a verifier."""
    response = verifier_pb2.VerifyResponse(fence=common.fence_to_proto(fence))
    match message:
        case VerifyOpened(digest, max_draft_tokens):
            opened = verifier_pb2.VerifyOpened(target_digest=digest, max_draft_tokens=max_draft_tokens)
            response.opened.CopyFrom(opened)
        case Verdict():
            response.verdict.CopyFrom(verdict_to_proto(message))
        case PsiQuery():
            response.psi_query.CopyFrom(psi_query_to_proto(message))
        case common.Draining(grace_ms):
            response.draining.CopyFrom(verifier_pb2.VerifierDraining(grace_ms=grace_ms))
    return response


def verify_response_from_proto(response: verifier_pb2.VerifyResponse) -> VerifyResponseMessage:
    """What a message from a verifier says, checked."""
    match response.WhichOneof("message"):
        case "opened":
            return VerifyOpened(response.opened.target_digest, response.opened.max_draft_tokens)
        case "verdict":
            return verdict_from_proto(response.verdict)
        case "psi_query":
            return psi_query_from_proto(response.psi_query)
        case "draining":
            return common.Draining(response.draining.grace_ms)
        case _:
            raise InvalidRequestError("message: the response says nothing")


def open_verify_to_proto(message: VerifyOpen) -> verifier_pb2.OpenVerify:
    """The first message, without its fence."""
    return verifier_pb2.OpenVerify(
        session_id=message.session_id,
        prompt_ids=message.prompt_ids,
        committed_ids=message.committed_ids,
        sampling=common.sampling_to_proto(message.sampling),
        stop=common.stop_to_proto(message.stop),
        noise_key=common.noise_key_to_proto(message.noise_key),
        method=common.method_to_proto(message.method),
        target_digest=message.target_digest,
    )


def open_verify_from_proto(message: verifier_pb2.OpenVerify, fence: Fence) -> VerifyOpen:
    """The first message, checked; raises PromptEmptyError for a prompt without ids."""
    if not message.prompt_ids:
        raise PromptEmptyError("prompt_ids must have at least one id")
    return VerifyOpen(
        session_id=common.session_id_from_proto(message.session_id),
        fence=fence,
        prompt_ids=tuple(message.prompt_ids),
        committed_ids=tuple(message.committed_ids),
        sampling=common.sampling_from_proto(message.sampling),
        stop=common.stop_from_proto(message.stop),
        noise_key=common.noise_key_from_proto(message.noise_key),
        method=common.method_from_proto(message.method),
        target_digest=message.target_digest,
    )


def round_to_proto(message: VerifyRound) -> verifier_pb2.Round:
    """A round for the wire."""
    return verifier_pb2.Round(
        round=message.round,
        base=common.token_prefix_to_proto(message.base),
        draft_ids=message.draft_ids,
        evidence=evidence_to_proto(message.evidence),
        free_run=message.free_run,
    )


def round_from_proto(message: verifier_pb2.Round) -> VerifyRound:
    """A round, checked: its evidence speaks of exactly its draft."""
    return VerifyRound(
        round=common.positive_from_proto(message.round, "round.round"),
        base=common.token_prefix_from_proto(message.base),
        draft_ids=tuple(message.draft_ids),
        evidence=_round_evidence(message.evidence, len(message.draft_ids)),
        free_run=message.free_run,
    )


def _round_evidence(message: common_pb2.Evidence, tokens: int) -> Evidence | None:
    evidence = evidence_from_proto(message)
    if evidence is None:
        return None
    count = len(evidence.positions) if isinstance(evidence, ProposalEvidence) else len(evidence.values)
    if count != tokens:
        raise InvalidRequestError(f"round.evidence is of {count} tokens, but round.draft_ids has {tokens}")
    return evidence


def verdict_to_proto(verdict: Verdict) -> verifier_pb2.Verdict:
    """A verdict for the wire; one that ends the generation must say how long the text is."""
    if verdict.finish_reason is not None and verdict.text_length is None:
        raise InternalError("verdict.text_length is required with a finish reason")
    return verifier_pb2.Verdict(
        round=verdict.round,
        status=verifier_pb2.RoundStatus.ValueType(verdict.status),
        base=common.token_prefix_to_proto(verdict.base),
        accepted=verdict.accepted,
        tokens=verdict.tokens,
        finish_reason=common.finish_reason_to_proto(verdict.finish_reason),
        text_length=verdict.text_length or 0,
        logprobs=map(logprobs_to_proto, verdict.logprobs),
        final=verdict.final,
        queue_ms=verdict.timings.queue_ms,
        compute_ms=verdict.timings.compute_ms,
        forward_ms=verdict.timings.forward_ms,
        batch_sequences=verdict.batch_sequences,
        batch_rows=verdict.batch_rows,
        steps=verdict.steps,
    )


def verdict_from_proto(message: verifier_pb2.Verdict) -> Verdict:
    """A verdict, checked for contradictions."""
    _check_verdict(message)
    finish_reason = common.finish_reason_from_proto(message.finish_reason, "verdict.finish_reason")
    return Verdict(
        round=message.round,
        status=_status_from_proto(message.status),
        base=common.token_prefix_from_proto(message.base),
        accepted=message.accepted,
        tokens=tuple(message.tokens),
        finish_reason=finish_reason,
        text_length=None if finish_reason is None else message.text_length,
        logprobs=tuple(map(logprobs_from_proto, message.logprobs)),
        final=message.final,
        timings=RoundTimings(message.queue_ms, message.compute_ms, message.forward_ms),
        batch_sequences=message.batch_sequences,
        batch_rows=message.batch_rows,
        steps=message.steps,
    )


def _check_verdict(message: verifier_pb2.Verdict) -> None:
    tokens = len(message.tokens)
    if message.accepted > tokens:
        raise InvalidRequestError(f"verdict.accepted is {message.accepted}, but verdict.tokens has {tokens}")
    if message.logprobs and len(message.logprobs) != tokens:
        raise InvalidRequestError(f"verdict.logprobs has {len(message.logprobs)} entries for {tokens} tokens")
    if message.status == verifier_pb2.ROUND_STATUS_STALE and tokens:
        raise InvalidRequestError("verdict.tokens must be empty when the round is stale")


def _status_from_proto(value: int) -> RoundStatus:
    try:
        return RoundStatus(value)
    except ValueError:
        raise InvalidRequestError(f"verdict.status: {value} is not a round status") from None


def logprobs_to_proto(logprobs: TokenLogprobs) -> verifier_pb2.TokenLogprobs:
    """Log probabilities at one position."""
    return verifier_pb2.TokenLogprobs(
        chosen=logprobs.chosen,
        top_ids=[token for token, _ in logprobs.top],
        top_logprobs=[logprob for _, logprob in logprobs.top],
    )


def logprobs_from_proto(message: verifier_pb2.TokenLogprobs) -> TokenLogprobs:
    """Log probabilities at one position, checked."""
    if len(message.top_ids) != len(message.top_logprobs):
        raise InvalidRequestError(
            f"logprobs.top_ids has {len(message.top_ids)} entries, logprobs.top_logprobs {len(message.top_logprobs)}"
        )
    return TokenLogprobs(message.chosen, tuple(zip(message.top_ids, message.top_logprobs, strict=True)))


def psi_query_to_proto(message: PsiQuery) -> verifier_pb2.PsiQuery:
    """A question for string probabilities."""
    prefix = common.token_prefix_to_proto(message.prefix)
    return verifier_pb2.PsiQuery(query_id=message.query_id, prefix=prefix, ids=message.ids)


def psi_query_from_proto(message: verifier_pb2.PsiQuery) -> PsiQuery:
    """A question; any ids can be asked for."""
    return PsiQuery(message.query_id, common.token_prefix_from_proto(message.prefix), tuple(message.ids))


def verifier_info_to_proto(info: VerifierInfo) -> verifier_pb2.GetVerifierInfoResponse:
    """Who a verifier is."""
    return verifier_pb2.GetVerifierInfoResponse(
        model=info.model,
        target_digest=info.target_digest,
        vocabulary_digest=info.vocabulary_digest,
        tokenizer_digest=info.tokenizer_digest,
        methods=[common.method_to_proto(method) for method in info.methods],
        max_context_tokens=info.max_context_tokens,
        max_draft_tokens=info.max_draft_tokens,
        max_sessions=info.max_sessions,
        parameters=info.parameters,
        dtype=info.dtype,
        device=info.device,
    )


def verifier_info_from_proto(message: verifier_pb2.GetVerifierInfoResponse) -> VerifierInfo:
    """Who a verifier is; methods that only newer versions know are left out."""
    return VerifierInfo(
        model=message.model,
        target_digest=message.target_digest,
        vocabulary_digest=message.vocabulary_digest,
        tokenizer_digest=message.tokenizer_digest,
        methods=common.methods_from_proto(message.methods),
        max_context_tokens=message.max_context_tokens,
        max_draft_tokens=message.max_draft_tokens,
        max_sessions=message.max_sessions,
        parameters=message.parameters,
        dtype=message.dtype,
        device=message.device,
    )
