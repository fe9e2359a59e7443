"""CoordinatorService's messages ↔ this package's values; protobuf goes no further."""

from __future__ import annotations

from draftmesh.coordinator.loop.transcript import Origin
from draftmesh.coordinator.pools.pool import DrafterMember, VerifierMember
from draftmesh.coordinator.requests import GenerationRequest
from draftmesh.coordinator.sessions.reading import Chunk
from draftmesh.coordinator.sessions.record import SessionRecord
from draftmesh.core.errors import InvalidRequestError, PromptEmptyError, PromptTooLongError, UnsupportedError
from draftmesh.transport.codec_common import load_to_proto, requested_method_from_proto, sampling_from_proto
from draftmesh.transport.codec_coordinator import ids_prompt_from_proto, text_prompt_from_proto, token_span_to_proto
from draftmesh.transport.codec_ledger import ledger_to_proto
from draftmesh.v1 import common_pb2, coordinator_pb2


def generation_request_from_proto(
    message: coordinator_pb2.GenerateRequest, *, max_prompt_bytes: int
) -> GenerationRequest:
    """A request for a new session, checked as far as that goes without its target.

    Raises:
        InvalidRequestError: a value is outside its range, or there is no prompt.
        UnsupportedError: conversations are not offered yet.
    """
    return GenerationRequest(
        prompt=_prompt(message, max_prompt_bytes),
        model=message.model,
        sampling=sampling_from_proto(message.sampling),
        max_tokens=message.stop.max_tokens or None,
        stop=tuple(message.stop.stop),
        ignore_eos=message.stop.ignore_eos,
        seed=message.seed if message.HasField("seed") else None,
        method=requested_method_from_proto(message.method),
        drafter=message.drafter,
        max_draft_tokens=message.max_draft_tokens if message.HasField("max_draft_tokens") else None,
    )


def _prompt(message: coordinator_pb2.GenerateRequest, max_bytes: int) -> str | tuple[int, ...]:
    match message.WhichOneof("prompt"):
        case "text":
            if len(message.text) > max_bytes:
                raise PromptTooLongError(f"the prompt has {len(message.text)} bytes, {max_bytes} are allowed")
            return text_prompt_from_proto(message.text)
        case "ids":
            return ids_prompt_from_proto(message.ids)
        case "conversation":
            raise UnsupportedError("conversations need chat templates, which are not offered yet: send text or ids")
        case "resume":
            raise InvalidRequestError("resume names a session that exists, not a prompt")
        case _:
            raise PromptEmptyError("there is no prompt")


def started_to_proto(record: SessionRecord) -> coordinator_pb2.GenerateResponse:
    """The first message of a stream."""
    started = coordinator_pb2.GenerationStarted(
        session_id=record.session_id,
        model=record.model,
        method=common_pb2.Method.ValueType(record.method),
        prompt_tokens=len(record.prompt_ids),
    )
    return coordinator_pb2.GenerateResponse(started=started)


def chunk_to_proto(chunk: Chunk) -> coordinator_pb2.GenerateResponse:
    """Text."""
    tokens = [
        token_span_to_proto(
            token.id, token.byte_length, drafted=token.origin is Origin.DRAFTED, logprobs=token.logprobs
        )
        for token in chunk.tokens
    ]
    message = coordinator_pb2.GenerationChunk(offset=chunk.offset, text=chunk.text, tokens=tokens)
    return coordinator_pb2.GenerateResponse(chunk=message)


def finished_to_proto(record: SessionRecord) -> coordinator_pb2.GenerateResponse:
    """The last message of a stream."""
    finished = coordinator_pb2.GenerationFinished(
        finish_reason=_finish_reason(record),
        prompt_tokens=len(record.prompt_ids),
        completion_tokens=len(record.tokens),
        ledger=ledger_to_proto(record.ledger),
    )
    return coordinator_pb2.GenerateResponse(finished=finished)


def session_to_proto(record: SessionRecord, shard: int) -> coordinator_pb2.GetSessionResponse:
    """What is known of a session."""
    return coordinator_pb2.GetSessionResponse(
        session_id=record.session_id,
        shard=shard,
        model=record.model,
        method=common_pb2.Method.ValueType(record.method),
        prompt_tokens=len(record.prompt_ids),
        committed_tokens=len(record.tokens),
        text=record.visible_text,
        finish_reason=_finish_reason(record),
        ledger=ledger_to_proto(record.ledger),
        drafter=record.drafter,
    )


def drafter_to_proto(member: DrafterMember, *, trusted: bool) -> coordinator_pb2.PoolMember:
    """One drafter."""
    return coordinator_pb2.PoolMember(
        kind=coordinator_pb2.POOL_KIND_DRAFTER,
        address=member.address,
        model=member.info.name if member.info is not None else "",
        ready=member.is_ready,
        load=load_to_proto(member.load),
        ledger=ledger_to_proto(member.ledger),
        trusted=trusted,
    )


def verifier_to_proto(member: VerifierMember) -> coordinator_pb2.PoolMember:
    """One verifier."""
    return coordinator_pb2.PoolMember(
        kind=coordinator_pb2.POOL_KIND_VERIFIER,
        address=member.address,
        model=member.info.model if member.info is not None else "",
        ready=member.is_ready,
        load=load_to_proto(member.load),
        ledger=ledger_to_proto(member.ledger),
        trusted=True,
    )


def _finish_reason(record: SessionRecord) -> common_pb2.FinishReason.ValueType:
    return common_pb2.FinishReason.ValueType(record.finish_reason or 0)
