"""What the codec refuses on the way in, and how it names the field."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from google.protobuf.message import Message

from draftmesh.core.draft import DEFAULT_PROPOSAL_SUPPORT, Block
from draftmesh.core.errors import (
    DraftmeshError,
    InternalError,
    InvalidRequestError,
    InvalidTextError,
    MalformedBlockError,
    PromptEmptyError,
    UnsupportedError,
    UnsupportedMethodError,
)
from draftmesh.core.evidence import ProposalEvidence, SparseDistribution
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import FinishReason, Method, SamplingParams
from draftmesh.core.text import Item, Role, TextPrefix, TokenPrefix
from draftmesh.core.verify import RoundStatus, Verdict, VerifyRound
from draftmesh.transport import codec_common, codec_coordinator, codec_draft, codec_evidence, codec_verify
from draftmesh.transport.codec_tokenizer import TokenizerAssembler
from draftmesh.transport.codec_vocabulary import vocabulary_from_proto
from draftmesh.v1 import common_pb2, coordinator_pb2, drafter_pb2, verifier_pb2

FENCE = common_pb2.Fence(session_epoch=1, attempt=1)
KEY = common_pb2.NoiseKey(version=1, key=bytes(16))


def open_draft(**changes: object) -> drafter_pb2.DraftRequest:
    """A valid opening of a drafter's stream, with some fields changed."""
    fields: dict[str, object] = {"session_id": "s", "noise_key": KEY, "method": common_pb2.METHOD_EXACT, **changes}
    return drafter_pb2.DraftRequest(fence=FENCE, open=drafter_pb2.OpenDraft(**fields))  # type: ignore[arg-type]


def open_verify(**changes: object) -> verifier_pb2.VerifyRequest:
    """A valid opening of a verifier's stream, with some fields changed."""
    fields: dict[str, object] = {
        "session_id": "s",
        "prompt_ids": [1],
        "noise_key": KEY,
        "method": common_pb2.METHOD_EXACT,
        **changes,
    }
    return verifier_pb2.VerifyRequest(fence=FENCE, open=verifier_pb2.OpenVerify(**fields))  # type: ignore[arg-type]


def block(**fields: object) -> drafter_pb2.DraftResponse:
    """A response that holds a block."""
    return drafter_pb2.DraftResponse(block=drafter_pb2.Block(**fields))  # type: ignore[arg-type]


def proposal(*positions: tuple[list[int], list[float]]) -> common_pb2.Evidence:
    """Evidence of these distributions."""
    made = [common_pb2.SparseDistribution(ids=ids, probabilities=values) for ids, values in positions]
    return common_pb2.Evidence(proposal=common_pb2.ProposalEvidence(positions=made))


def verify_round(**fields: object) -> verifier_pb2.VerifyRequest:
    """A request that holds a round."""
    numbered: dict[str, object] = {"round": 1, **fields}
    return verifier_pb2.VerifyRequest(round=verifier_pb2.Round(**numbered))  # type: ignore[arg-type]


def verdict(**fields: object) -> verifier_pb2.VerifyResponse:
    """A response that holds a verdict."""
    numbered: dict[str, object] = {"round": 1, "status": verifier_pb2.ROUND_STATUS_DONE, **fields}
    return verifier_pb2.VerifyResponse(verdict=verifier_pb2.Verdict(**numbered))  # type: ignore[arg-type]


def text(*pieces: bytes | int) -> list[common_pb2.Item]:
    """Items of bytes and role numbers."""
    return [common_pb2.Item(text=p) if isinstance(p, bytes) else common_pb2.Item(role=p) for p in pieces]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"session_id": ""}, InvalidRequestError, "session_id must have 1 to 128"),
        ({"session_id": "s" * 129}, InvalidRequestError, "session_id must have 1 to 128"),
        ({"noise_key": common_pb2.NoiseKey(version=1, key=bytes(15))}, InvalidRequestError, r"noise_key\.key .* 15"),
        ({"noise_key": common_pb2.NoiseKey(key=bytes(16))}, InvalidRequestError, r"noise_key\.version"),
        ({"noise_key": None}, InvalidRequestError, r"noise_key\.key"),
        ({"method": common_pb2.METHOD_UNSPECIFIED}, InvalidRequestError, "method must be a definite"),
        ({"method": common_pb2.METHOD_AUTO}, InvalidRequestError, "method must be a definite"),
        ({"method": 99}, UnsupportedMethodError, "99"),
        ({"sampling": common_pb2.Sampling(temperature=-1)}, InvalidRequestError, "temperature"),
        ({"sampling": common_pb2.Sampling(temperature=math.nan)}, InvalidRequestError, "temperature"),
        ({"sampling": common_pb2.Sampling(top_p=0)}, InvalidRequestError, "top_p"),
        ({"sampling": common_pb2.Sampling(repetition_penalty=0)}, InvalidRequestError, "repetition_penalty"),
        ({"sampling": common_pb2.Sampling(logprobs=21)}, InvalidRequestError, "logprobs"),
    ],
)
@pytest.mark.parametrize("opening", [open_draft, open_verify])
def test_both_openings_refuse(
    opening: Callable[..., Message], changes: dict[str, object], error: type[DraftmeshError], words: str
) -> None:
    """Fields that both streams' openings have are checked on both."""
    with pytest.raises(error, match=words):
        read(opening(**changes))


def read(message: Message) -> object:
    """Decode any stream message."""
    match message:
        case drafter_pb2.DraftRequest():
            return codec_draft.draft_request_from_proto(message)
        case drafter_pb2.DraftResponse():
            return codec_draft.draft_response_from_proto(message)
        case verifier_pb2.VerifyRequest():
            return codec_verify.verify_request_from_proto(message)
        case verifier_pb2.VerifyResponse():
            return codec_verify.verify_response_from_proto(message)
        case _:
            raise TypeError(type(message))


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        (drafter_pb2.DraftRequest(fence=FENCE), InvalidRequestError, "says nothing"),
        (drafter_pb2.DraftResponse(fence=FENCE), InvalidRequestError, "says nothing"),
        (verifier_pb2.VerifyRequest(fence=FENCE), InvalidRequestError, "says nothing"),
        (verifier_pb2.VerifyResponse(fence=FENCE), InvalidRequestError, "says nothing"),
        (drafter_pb2.DraftRequest(open=open_draft().open), InvalidRequestError, r"fence\.session_epoch counts from 1"),
        (verifier_pb2.VerifyRequest(open=open_verify().open), InvalidRequestError, r"fence\.session_epoch"),
        (open_draft(context=[common_pb2.Item()]), InvalidRequestError, r"context\[0\] has neither"),
        (open_draft(committed=text(b"a", 99)), InvalidRequestError, r"committed\[1\]\.role: 99"),
        (open_draft(committed=text(0)), InvalidRequestError, r"committed\[0\]\.role: 0"),
        (open_draft(conversation=common_pb2.Conversation()), UnsupportedError, "conversation"),
        (open_verify(prompt_ids=[]), PromptEmptyError, "prompt_ids"),
        (open_verify(stop=common_pb2.StopConditions(stop=[b""])), InvalidRequestError, "stop string"),
        (drafter_pb2.DraftRequest(commit=drafter_pb2.Commit()), InvalidRequestError, r"commit\.commit_seq"),
        (
            drafter_pb2.DraftRequest(evaluate=drafter_pb2.Evaluate(sequences=[common_pb2.TokenIds()])),
            InvalidRequestError,
            r"evaluate\.sequences",
        ),
        (
            drafter_pb2.DraftResponse(evaluated=drafter_pb2.Evaluated(psi=[0.5, 1.5])),
            InvalidRequestError,
            r"evaluated\.psi\[1\]",
        ),
        (verify_round(round=0), InvalidRequestError, r"round\.round counts from 1"),
        (verify_round(draft_ids=[1], evidence=proposal()), InvalidRequestError, r"round\.evidence is of 0 tokens"),
        (
            verify_round(draft_ids=[1], evidence=common_pb2.Evidence(psi=common_pb2.PsiEvidence(values=[0.1, 0.2]))),
            InvalidRequestError,
            r"round\.evidence is of 2 tokens",
        ),
        (
            verifier_pb2.VerifyRequest(psi_reply=verifier_pb2.PsiReply(psi=[math.nan])),
            InvalidRequestError,
            r"psi_reply\.psi\[0\]",
        ),
        (verdict(status=0), InvalidRequestError, r"verdict\.status: 0"),
        (verdict(status=9), InvalidRequestError, r"verdict\.status: 9"),
        (verdict(finish_reason=9), InvalidRequestError, r"verdict\.finish_reason: 9"),
        (verdict(accepted=1), InvalidRequestError, r"verdict\.accepted is 1"),
        (verdict(status=verifier_pb2.ROUND_STATUS_STALE, tokens=[1]), InvalidRequestError, r"verdict\.tokens"),
        (verdict(tokens=[1, 2], logprobs=[verifier_pb2.TokenLogprobs()]), InvalidRequestError, r"verdict\.logprobs"),
        (
            verdict(tokens=[1], logprobs=[verifier_pb2.TokenLogprobs(top_ids=[1])]),
            InvalidRequestError,
            r"logprobs\.top_ids has 1",
        ),
        (block(items=text(b"abc"), token_byte_lengths=[1, 1]), MalformedBlockError, "3 bytes and 0 roles"),
        (block(items=text(b"abc"), token_byte_lengths=[1, 0, 2]), MalformedBlockError, "3 bytes and 0 roles"),
        (block(items=text(b"ab", 2), token_byte_lengths=[0, 2]), MalformedBlockError, "add up"),
        (block(items=text(2, b"ab"), token_byte_lengths=[2, 0]), MalformedBlockError, "token 0 is a role"),
        (block(items=text(b"ab", b"cd"), token_byte_lengths=[3, 1]), MalformedBlockError, "add up"),
        (block(items=text(b"ab"), token_byte_lengths=[2], target_ids=[1, 2]), MalformedBlockError, "target_ids has 2"),
        (block(items=text(b"ab"), token_byte_lengths=[2], evidence=proposal()), MalformedBlockError, "is of 0 tokens"),
    ],
)
def test_messages_that_are_refused(message: Message, error: type[DraftmeshError], words: str) -> None:
    """Each contradiction raises its error and names its field."""
    with pytest.raises(error, match=words):
        read(message)


def test_a_proposal_names_one_probability_for_each_id() -> None:
    """What it says beyond that is for those to check who know method and vocabulary."""
    with pytest.raises(InvalidRequestError, match=r"positions\[0\] has 2 ids, but 1"):
        codec_evidence.evidence_from_proto(proposal(([1, 2], [1.0])))


def test_unset_sampling_fields_have_the_defaults() -> None:
    """An empty Sampling is greedy without penalties."""
    assert codec_common.sampling_from_proto(common_pb2.Sampling()) == SamplingParams()


def test_zero_max_tokens_is_the_services_default() -> None:
    """A max_tokens of 0 becomes the default that the service gives."""
    assert codec_common.stop_from_proto(common_pb2.StopConditions(), default_max_tokens=7).max_tokens == 7


def test_max_tokens_above_the_services_limit() -> None:
    """The limit of the service holds."""
    with pytest.raises(InvalidRequestError, match="max_tokens"):
        codec_common.stop_from_proto(common_pb2.StopConditions(max_tokens=9), max_tokens_limit=8)


def test_text_of_consecutive_draft_tokens_is_joined() -> None:
    """On the wire a block of three tokens around a role has two text items, and four lengths."""
    items: tuple[Item, ...] = (b"a", b"bc", Role.EOS, b"d")
    message = codec_draft.block_to_proto(Block(0, TextPrefix(), items))
    assert (text(b"abc", 2, b"d"), [1, 2, 0, 1]) == (list(message.items), list(message.token_byte_lengths))


def test_a_draft_token_without_bytes_or_role_cannot_be_sent() -> None:
    """The wire has no way to say it."""
    with pytest.raises(MalformedBlockError, match="neither bytes nor role"):
        codec_draft.block_to_proto(Block(0, TextPrefix(), (b"a", b"")))


def test_a_last_verdict_needs_its_text_length() -> None:
    """Without it the client would be told to deliver nothing."""
    with pytest.raises(InternalError, match="text_length"):
        codec_verify.verdict_to_proto(Verdict(1, RoundStatus.DONE, TokenPrefix(), finish_reason=FinishReason.EOS))


def test_methods_of_newer_peers_are_left_out() -> None:
    """A peer may offer methods that this version does not know."""
    assert codec_common.methods_from_proto([99, common_pb2.METHOD_TLI]) == (Method.TLI,)


def test_an_unset_method_of_a_client_is_auto() -> None:
    """Only a client may leave the method open."""
    request = coordinator_pb2.GenerateRequest()
    assert codec_common.requested_method_from_proto(request.method) is Method.AUTO


def test_text_prompts_must_be_utf8() -> None:
    """The error names the first wrong byte."""
    with pytest.raises(InvalidTextError, match="byte 1"):
        codec_coordinator.text_prompt_from_proto(b"a\xff")


def test_empty_prompts() -> None:
    """Neither no text nor no ids is a prompt."""
    with pytest.raises(PromptEmptyError):
        codec_coordinator.text_prompt_from_proto(b"")
    with pytest.raises(PromptEmptyError):
        codec_coordinator.ids_prompt_from_proto(common_pb2.TokenIds())


def test_a_span_without_origin() -> None:
    """Every committed token comes from somewhere."""
    with pytest.raises(InvalidRequestError, match=r"span\.origin"):
        codec_coordinator.span_drafted_from_proto(coordinator_pb2.TokenSpan())


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\\b", "/etc/passwd"])
def test_tokenizer_file_names_cannot_leave_their_folder(name: str) -> None:
    """A peer cannot name a file outside the folder it will be written to."""
    with pytest.raises(InvalidRequestError, match="file_name"):
        TokenizerAssembler().add(common_pb2.TokenizerChunk(file_name=name, data=b"x"))


def test_tokenizer_pieces_must_follow_each_other() -> None:
    """A file that is taken up again after another one is refused."""
    assembler = TokenizerAssembler()
    assembler.add(common_pb2.TokenizerChunk(file_name="a"))
    assembler.add(common_pb2.TokenizerChunk(file_name="b"))
    with pytest.raises(InvalidRequestError, match="pieces of a"):
        assembler.add(common_pb2.TokenizerChunk(file_name="a"))


def test_tokenizers_are_bounded() -> None:
    """A peer cannot fill our memory."""
    with pytest.raises(InvalidRequestError, match="more than 3 bytes"):
        TokenizerAssembler(max_bytes=3).add(common_pb2.TokenizerChunk(file_name="a", data=b"1234"))


@pytest.mark.parametrize(
    ("request_fields", "words"),
    [
        ({"digest": b""}, "digest"),
        ({"digest": b"d"}, "tokens"),
        ({"digest": b"d", "tokens": [drafter_pb2.VocabularyToken(text=b"a", special=True)]}, r"tokens\[0\] is special"),
        ({"digest": b"d", "tokens": [drafter_pb2.VocabularyToken(role=99)]}, r"tokens\[0\]\.role: 99"),  # type: ignore[arg-type]
        (
            {"digest": b"d", "tokens": [drafter_pb2.VocabularyToken(role=common_pb2.ROLE_EOS)]},
            r"tokens\[0\] has a role",
        ),
    ],
)
def test_vocabularies_that_are_refused(request_fields: dict[str, object], words: str) -> None:
    """A vocabulary needs a digest and sound tokens."""
    message = drafter_pb2.RegisterVocabularyRequest(**request_fields)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match=words):
        vocabulary_from_proto(message)


def test_fences_keep_epoch_and_attempt_apart() -> None:
    """Epoch and attempt do not change places."""
    assert codec_common.fence_from_proto(common_pb2.Fence(session_epoch=2, attempt=5)) == Fence(2, 5)


def test_a_proposal_of_the_default_support_takes_600_bytes_a_position_at_most() -> None:
    """Also with the ids of the largest vocabularies, to the coordinator and from there to the verifier."""
    ids = tuple(range(262_144 - DEFAULT_PROPOSAL_SUPPORT, 262_144))
    weights = (1 / DEFAULT_PROPOSAL_SUPPORT,) * DEFAULT_PROPOSAL_SUPPORT
    evidence = ProposalEvidence((SparseDistribution(ids, weights),) * 8)
    proposed = Block(1, TextPrefix(), (b" a",) * 8, False, ids[:8], evidence)
    asked = VerifyRound(1, TokenPrefix(), ids[:8], evidence)
    messages = (codec_draft.block_to_proto(proposed), codec_verify.round_to_proto(asked))
    assert max(message.ByteSize() for message in messages) <= 8 * 600
