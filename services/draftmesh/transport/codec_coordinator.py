"""Those parts of CoordinatorService's messages that are core values: prompts, and the tokens of a chunk."""

from __future__ import annotations

from draftmesh.core.errors import InvalidRequestError, InvalidTextError, PromptEmptyError
from draftmesh.core.verify import TokenLogprobs
from draftmesh.transport.codec_verify import logprobs_from_proto, logprobs_to_proto
from draftmesh.v1 import common_pb2, coordinator_pb2


def text_prompt_from_proto(text: bytes) -> str:
    """A prompt given as text.

    Raises:
        PromptEmptyError: there is none.
        InvalidTextError: it is not UTF-8.
    """
    if not text:
        raise PromptEmptyError("text: the prompt is empty")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise InvalidTextError(f"text: the prompt is not UTF-8 at byte {error.start}") from None


def ids_prompt_from_proto(message: common_pb2.TokenIds) -> tuple[int, ...]:
    """A prompt given as target token ids; raises PromptEmptyError when there are none."""
    if not message.ids:
        raise PromptEmptyError("ids: the prompt is empty")
    return tuple(message.ids)


def token_span_to_proto(
    token: int, byte_length: int, *, drafted: bool, logprobs: TokenLogprobs | None = None
) -> coordinator_pb2.TokenSpan:
    """One committed token's share of a chunk."""
    return coordinator_pb2.TokenSpan(
        id=token,
        byte_length=byte_length,
        origin=coordinator_pb2.ORIGIN_DRAFTED if drafted else coordinator_pb2.ORIGIN_TARGET,
        logprobs=None if logprobs is None else logprobs_to_proto(logprobs),
    )


def span_logprobs_from_proto(span: coordinator_pb2.TokenSpan) -> TokenLogprobs | None:
    """The log probabilities of a committed token, if they were asked for."""
    return logprobs_from_proto(span.logprobs) if span.HasField("logprobs") else None


def span_drafted_from_proto(span: coordinator_pb2.TokenSpan) -> bool:
    """Whether a committed token was proposed by a drafter."""
    if span.origin == coordinator_pb2.ORIGIN_UNSPECIFIED:
        raise InvalidRequestError("span.origin is required")
    return span.origin == coordinator_pb2.ORIGIN_DRAFTED
