"""Every message survives the way over the wire: core to protobuf to bytes to protobuf to core."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from draftmesh.core.endpoint import DrafterInfo, LoadReport, TokenizerFile, VerifierInfo
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import FinishReason
from draftmesh.core.verify import TokenLogprobs
from draftmesh.transport import codec_common, codec_coordinator, codec_draft, codec_verify
from draftmesh.transport.codec_tokenizer import TokenizerAssembler, tokenizer_chunks
from draftmesh.transport.codec_vocabulary import RegisteredVocabulary, vocabulary_from_proto, vocabulary_to_proto
from tests.property.transport import strategies

MessageT = TypeVar("MessageT", bound=Message)


def over_the_wire(message: MessageT) -> MessageT:
    """The message after serialization and parsing."""
    return type(message).FromString(message.SerializeToString())


@given(strategies.draft_requests, strategies.fences, st.text(max_size=60))
def test_draft_requests(message: codec_draft.DraftRequestMessage, fence: Fence, traceparent: str) -> None:
    """Open, commit and evaluate, with fence and traceparent."""
    fence = getattr(message, "fence", fence)
    request = over_the_wire(codec_draft.draft_request_to_proto(message, fence, traceparent))
    received = (
        codec_draft.draft_request_from_proto(request),
        codec_common.fence_from_proto(request.fence),
        request.traceparent,
    )
    assert (message, fence, traceparent) == received


@given(strategies.draft_responses, strategies.fences)
def test_draft_responses(message: codec_draft.DraftResponseMessage, fence: Fence) -> None:
    """Opened, block, evaluated and draining."""
    response = over_the_wire(codec_draft.draft_response_to_proto(message, fence))
    assert (message, fence) == (
        codec_draft.draft_response_from_proto(response),
        codec_common.fence_from_proto(response.fence),
    )


@given(strategies.verify_requests, strategies.fences, st.text(max_size=60))
def test_verify_requests(message: codec_verify.VerifyRequestMessage, fence: Fence, traceparent: str) -> None:
    """Open, round and ψ reply, with fence and traceparent."""
    fence = getattr(message, "fence", fence)
    request = over_the_wire(codec_verify.verify_request_to_proto(message, fence, traceparent))
    received = (
        codec_verify.verify_request_from_proto(request),
        codec_common.fence_from_proto(request.fence),
        request.traceparent,
    )
    assert (message, fence, traceparent) == received


@given(strategies.verify_responses, strategies.fences)
def test_verify_responses(message: codec_verify.VerifyResponseMessage, fence: Fence) -> None:
    """Opened, verdict, ψ query and draining."""
    response = over_the_wire(codec_verify.verify_response_to_proto(message, fence))
    assert (message, fence) == (
        codec_verify.verify_response_from_proto(response),
        codec_common.fence_from_proto(response.fence),
    )


@given(strategies.loads)
def test_load_reports(load: LoadReport) -> None:
    """Load reports with their cost curve."""
    assert load == codec_common.load_from_proto(over_the_wire(codec_common.load_to_proto(load)))


@given(strategies.drafter_infos)
def test_drafter_infos(info: DrafterInfo) -> None:
    """Who a drafter is."""
    wire = over_the_wire(codec_draft.drafter_info_to_proto(info))
    assert info == codec_draft.drafter_info_from_proto(wire)


@given(strategies.verifier_infos)
def test_verifier_infos(info: VerifierInfo) -> None:
    """Who a verifier is."""
    wire = over_the_wire(codec_verify.verifier_info_to_proto(info))
    assert info == codec_verify.verifier_info_from_proto(wire)


@given(strategies.tokenizer_files, st.integers(1, 7))
def test_tokenizer_files(files: tuple[TokenizerFile, ...], chunk_bytes: int) -> None:
    """Files cut into pieces of any size come together again."""
    assembler = TokenizerAssembler()
    for chunk in tokenizer_chunks(files, chunk_bytes):
        assembler.add(over_the_wire(chunk))
    assert files == assembler.files()


@given(strategies.vocabularies())
def test_vocabularies(vocabulary: RegisteredVocabulary) -> None:
    """Bytes and role of every token, and whether it is special."""
    wire = over_the_wire(vocabulary_to_proto(vocabulary.digest, vocabulary))
    assert vocabulary == vocabulary_from_proto(wire)


@given(strategies.u32, strategies.u32, st.booleans(), st.none() | strategies.logprobs)
def test_token_spans(token: int, byte_length: int, drafted: bool, logprobs: TokenLogprobs | None) -> None:
    """A committed token's id, length, origin and log probabilities."""
    span = over_the_wire(codec_coordinator.token_span_to_proto(token, byte_length, drafted=drafted, logprobs=logprobs))
    received = (
        span.id,
        span.byte_length,
        codec_coordinator.span_drafted_from_proto(span),
        codec_coordinator.span_logprobs_from_proto(span),
    )
    assert (token, byte_length, drafted, logprobs) == received


@given(st.none() | st.sampled_from(FinishReason))
def test_finish_reasons(reason: FinishReason | None) -> None:
    """None and every reason."""
    assert reason == codec_common.finish_reason_from_proto(codec_common.finish_reason_to_proto(reason))
