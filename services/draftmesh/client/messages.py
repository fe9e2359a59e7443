"""Protobuf → results; the only module of the client that reads messages."""

from __future__ import annotations

from draftmesh.client.results import Chunk, PoolMember, Session, Token
from draftmesh.core.sampling import FinishReason, Method
from draftmesh.transport.codec_common import load_from_proto
from draftmesh.transport.codec_coordinator import span_drafted_from_proto, span_logprobs_from_proto
from draftmesh.transport.codec_ledger import ledger_from_proto
from draftmesh.v1 import coordinator_pb2


def chunk_from_proto(message: coordinator_pb2.GenerationChunk) -> Chunk:
    """A chunk of text."""
    return Chunk(message.offset, message.text, tuple(_token(span) for span in message.tokens))


def session_from_proto(message: coordinator_pb2.GetSessionResponse) -> Session:
    """What is known of a session."""
    return Session(
        session_id=message.session_id,
        shard=message.shard,
        model=message.model,
        method=Method(message.method).label,
        prompt_tokens=message.prompt_tokens,
        committed_tokens=message.committed_tokens,
        data=message.text,
        finish_reason=FinishReason(message.finish_reason) if message.finish_reason else None,
        drafter=message.drafter,
        ledger=ledger_from_proto(message.ledger),
    )


def pool_member_from_proto(message: coordinator_pb2.PoolMember) -> PoolMember:
    """One member of a pool."""
    is_drafter = message.kind == coordinator_pb2.POOL_KIND_DRAFTER
    return PoolMember(
        kind="drafter" if is_drafter else "verifier",
        address=message.address,
        model=message.model,
        ready=message.ready,
        load=load_from_proto(message.load),
        ledger=ledger_from_proto(message.ledger),
        trusted=message.trusted,
    )


def _token(span: coordinator_pb2.TokenSpan) -> Token:
    return Token(
        id=span.id,
        byte_length=span.byte_length,
        drafted=span_drafted_from_proto(span),
        logprobs=span_logprobs_from_proto(span),
    )
