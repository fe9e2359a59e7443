"""DrafterService's messages to core values and back.

On the wire, text of consecutive draft tokens is joined and cut again by ``token_byte_lengths``; in core a block has one
item a draft token. A draft token therefore has bytes or a role: one with neither cannot be written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.core.draft import (
    DEFAULT_PROPOSAL_SUPPORT,
    DEFAULT_PSI_CAP_BYTES,
    Block,
    Commit,
    DraftExtent,
    DraftOpen,
    Evaluate,
    Evaluated,
    split_block,
)
from draftmesh.core.endpoint import DrafterInfo
from draftmesh.core.errors import InvalidRequestError, MalformedBlockError, UnsupportedError
from draftmesh.core.evidence import Evidence, ProposalEvidence
from draftmesh.core.fence import Fence
from draftmesh.core.text import Item, items_length
from draftmesh.transport import codec_common as common
from draftmesh.transport.codec_evidence import evidence_from_proto, evidence_to_proto, psi_from_proto
from draftmesh.v1 import common_pb2, drafter_pb2


@dataclass(frozen=True, slots=True)
class DraftOpened:
    """A drafter's answer to :class:`DraftOpen`."""

    drafter_digest: bytes
    """Weights, dtype and tokenizer."""

    max_ahead_tokens: int
    """Drafter tokens at most beyond the last commit, as applied."""

    pauses_when_unsure: bool = False
    """Whether it heeds the least confidence of a draft's extent."""


DraftRequestMessage = DraftOpen | Commit | Evaluate
DraftResponseMessage = DraftOpened | Block | Evaluated | common.Draining


def draft_request_to_proto(
    message: DraftRequestMessage, fence: Fence, traceparent: str = ""
) -> drafter_pb2.DraftRequest:
    """One message to a drafter."""
    request = drafter_pb2.DraftRequest(fence=common.fence_to_proto(fence), traceparent=traceparent)
    match message:
        case DraftOpen():
            request.open.CopyFrom(open_draft_to_proto(message))
        case Commit():
            request.commit.CopyFrom(commit_to_proto(message))
        case Evaluate():
            request.evaluate.CopyFrom(evaluate_to_proto(message))
    return request


def draft_request_from_proto(request: drafter_pb2.DraftRequest) -> DraftRequestMessage:
    """What a message to a drafter says, checked. Its fence is read by ``fence_from_proto(request.fence)``."""
    match request.WhichOneof("message"):
        case "open":
            return open_draft_from_proto(request.open, common.fence_from_proto(request.fence))
        case "commit":
            return commit_from_proto(request.commit)
        case "evaluate":
            return evaluate_from_proto(request.evaluate)
        case _:
            raise InvalidRequestError("message: the request says nothing")


def draft_response_to_proto(message: DraftResponseMessage, fence: Fence) -> drafter_pb2.DraftResponse:
    """One message from a drafter."""
    response = drafter_pb2.DraftResponse(fence=common.fence_to_proto(fence))
    match message:
        case DraftOpened():
            response.opened.CopyFrom(
                drafter_pb2.DraftOpened(
                    drafter_digest=message.drafter_digest,
                    max_ahead_tokens=message.max_ahead_tokens,
                    pauses_when_unsure=message.pauses_when_unsure,
                )
            )
        case Block():
            response.block.CopyFrom(block_to_proto(message))
        case Evaluated():
            response.evaluated.CopyFrom(evaluated_to_proto(message))
        case common.Draining(grace_ms):
            response.draining.CopyFrom(drafter_pb2.Draining(grace_ms=grace_ms))
    return response


def draft_response_from_proto(response: drafter_pb2.DraftResponse) -> DraftResponseMessage:
    """What a message from a drafter says, checked."""
    match response.WhichOneof("message"):
        case "opened":
            opened = response.opened
            return DraftOpened(opened.drafter_digest, opened.max_ahead_tokens, opened.pauses_when_unsure)
        case "block":
            return block_from_proto(response.block)
        case "evaluated":
            return evaluated_from_proto(response.evaluated)
        case "draining":
            return common.Draining(response.draining.grace_ms)
        case _:
            raise InvalidRequestError("message: the response says nothing")


def open_draft_to_proto(message: DraftOpen) -> drafter_pb2.OpenDraft:
    """The first message, without its fence."""
    return drafter_pb2.OpenDraft(
        session_id=message.session_id,
        context=common.items_to_proto(message.context),
        committed=[common.item_to_proto(item) for item in message.committed],
        sampling=common.sampling_to_proto(message.sampling),
        noise_key=common.noise_key_to_proto(message.noise_key),
        method=common.method_to_proto(message.method),
        target_vocabulary_digest=message.target_vocabulary_digest,
        max_ahead_tokens=message.max_ahead_tokens,
        committed_tokens=message.committed_tokens,
        proposal_support=message.proposal_support,
        psi_cap_bytes=message.psi_cap_bytes,
        first_ahead_tokens=message.first_extent.ahead_tokens,
        first_least_confidence=message.first_extent.least_confidence,
        first_max_branches=message.first_extent.branches,
        first_branch_tokens=message.first_extent.branch_tokens,
    )


def open_draft_from_proto(message: drafter_pb2.OpenDraft, fence: Fence) -> DraftOpen:
    """The first message, checked.

    Raises:
        UnsupportedError: the context is a conversation; only rendered text is taken.
    """
    if message.HasField("conversation"):
        raise UnsupportedError("conversation: only a rendered context is taken here")
    return DraftOpen(
        session_id=common.session_id_from_proto(message.session_id),
        fence=fence,
        context=common.items_from_proto(message.context, "context"),
        committed=common.items_from_proto(message.committed, "committed"),
        sampling=common.sampling_from_proto(message.sampling),
        noise_key=common.noise_key_from_proto(message.noise_key),
        method=common.method_from_proto(message.method),
        max_ahead_tokens=message.max_ahead_tokens,
        target_vocabulary_digest=message.target_vocabulary_digest,
        committed_tokens=message.committed_tokens,
        proposal_support=message.proposal_support or DEFAULT_PROPOSAL_SUPPORT,
        psi_cap_bytes=message.psi_cap_bytes or DEFAULT_PSI_CAP_BYTES,
        first_extent=DraftExtent(
            message.first_ahead_tokens,
            message.first_least_confidence,
            message.first_max_branches,
            message.first_branch_tokens,
        ),
    )


def commit_to_proto(message: Commit) -> drafter_pb2.Commit:
    """A commit for the wire: an item stays an item, because it is a token."""
    items = [common.item_to_proto(item) for item in message.items]
    return drafter_pb2.Commit(
        commit_seq=message.commit_seq,
        offset=message.offset,
        items=items,
        max_ahead_tokens=message.extent.ahead_tokens,
        least_confidence=message.extent.least_confidence,
        max_branches=message.extent.branches,
        branch_tokens=message.extent.branch_tokens,
    )


def commit_from_proto(message: drafter_pb2.Commit) -> Commit:
    """A commit, checked."""
    return Commit(
        common.positive_from_proto(message.commit_seq, "commit.commit_seq"),
        message.offset,
        common.items_from_proto(message.items, "commit.items"),
        DraftExtent(message.max_ahead_tokens, message.least_confidence, message.max_branches, message.branch_tokens),
    )


def block_to_proto(block: Block) -> drafter_pb2.Block:
    """A block for the wire; raises MalformedBlockError for a draft token that has neither bytes nor role."""
    if b"" in block.items:
        raise MalformedBlockError("block.items: a draft token has neither bytes nor role")
    return drafter_pb2.Block(
        commit_seq=block.commit_seq,
        start=common.text_prefix_to_proto(block.start),
        items=common.items_to_proto(block.items),
        token_byte_lengths=[len(item) if isinstance(item, bytes) else 0 for item in block.items],
        target_ids=block.target_ids,
        evidence=evidence_to_proto(block.evidence),
        paused=block.paused,
        branch=block.is_branch,
    )


def block_from_proto(message: drafter_pb2.Block) -> Block:
    """A block with one item a draft token; raises MalformedBlockError where it contradicts itself."""
    items = _cut(common.items_from_proto(message.items, "block.items"), tuple(message.token_byte_lengths))
    target_ids = tuple(message.target_ids)
    if target_ids and len(target_ids) != len(items):
        raise MalformedBlockError(f"block.target_ids has {len(target_ids)} ids for {len(items)} draft tokens")
    return Block(
        commit_seq=message.commit_seq,
        start=common.text_prefix_from_proto(message.start),
        items=items,
        paused=message.paused,
        is_branch=message.branch,
        target_ids=target_ids,
        evidence=_block_evidence(message.evidence, len(items)),
    )


def _cut(items: Sequence[Item], lengths: tuple[int, ...]) -> tuple[Item, ...]:
    """The items of single draft tokens: each byte item cut by as many lengths as add up to it, each role taking a 0."""
    roles = sum(not isinstance(item, bytes) for item in items)
    if lengths.count(0) != roles or sum(lengths) != items_length(items):
        raise MalformedBlockError(
            f"block.token_byte_lengths {list(lengths)} do not add up to {items_length(items)} bytes and {roles} roles"
        )
    tokens: list[Item] = []
    for item in items:
        if isinstance(item, bytes):
            tokens.extend(split_block(item, _lengths_of(item, lengths[len(tokens) :])))
        elif lengths[len(tokens)] == 0:
            tokens.append(item)
        else:
            raise MalformedBlockError(f"block.token_byte_lengths: token {len(tokens)} is a role and has no bytes")
    return tuple(tokens)


def _lengths_of(text: bytes, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """The leading lengths that reach to the end of ``text``, up to the first role."""
    total, count = 0, 0
    while total < len(text) and count < len(lengths) and lengths[count]:
        total += lengths[count]
        count += 1
    return lengths[:count]


def _block_evidence(message: common_pb2.Evidence, tokens: int) -> Evidence | None:
    evidence = evidence_from_proto(message)
    if evidence is None:
        return None
    count = len(evidence.positions) if isinstance(evidence, ProposalEvidence) else len(evidence.values)
    if count != tokens:
        raise MalformedBlockError(f"block.evidence is of {count} tokens, but the block has {tokens} draft tokens")
    return evidence


def evaluate_to_proto(message: Evaluate) -> drafter_pb2.Evaluate:
    """A question for string probabilities."""
    return drafter_pb2.Evaluate(
        evaluation_id=message.evaluation_id,
        prefix=common.text_prefix_to_proto(message.prefix),
        sequences=[common_pb2.TokenIds(ids=sequence) for sequence in message.sequences],
    )


def evaluate_from_proto(message: drafter_pb2.Evaluate) -> Evaluate:
    """A question, checked: each sequence has at least one id."""
    sequences = tuple(tuple(sequence.ids) for sequence in message.sequences)
    if not all(sequences):
        raise InvalidRequestError("evaluate.sequences: a sequence has no ids")
    return Evaluate(message.evaluation_id, common.text_prefix_from_proto(message.prefix), sequences)


def evaluated_to_proto(message: Evaluated) -> drafter_pb2.Evaluated:
    """The answer to an Evaluate."""
    return drafter_pb2.Evaluated(evaluation_id=message.evaluation_id, psi=message.psi)


def evaluated_from_proto(message: drafter_pb2.Evaluated) -> Evaluated:
    """The answer, checked."""
    return Evaluated(message.evaluation_id, psi_from_proto(message.psi, "evaluated.psi"))


def drafter_info_to_proto(info: DrafterInfo) -> drafter_pb2.GetDrafterInfoResponse:
    """Who a drafter is."""
    return drafter_pb2.GetDrafterInfoResponse(
        name=info.name,
        drafter_digest=info.digest,
        vocabulary_digest=info.vocabulary_digest,
        methods=[common.method_to_proto(method) for method in info.methods],
        max_context_tokens=info.max_context_tokens,
        max_ahead_tokens=info.max_ahead_tokens,
        max_sessions=info.max_sessions,
        parameters=info.parameters,
        tokenizer_family=info.tokenizer_family,
    )


def drafter_info_from_proto(message: drafter_pb2.GetDrafterInfoResponse) -> DrafterInfo:
    """Who a drafter is; methods that only newer versions know are left out."""
    return DrafterInfo(
        name=message.name,
        digest=message.drafter_digest,
        vocabulary_digest=message.vocabulary_digest,
        methods=common.methods_from_proto(message.methods),
        max_context_tokens=message.max_context_tokens,
        max_ahead_tokens=message.max_ahead_tokens,
        max_sessions=message.max_sessions,
        parameters=message.parameters,
        tokenizer_family=message.tokenizer_family,
    )
