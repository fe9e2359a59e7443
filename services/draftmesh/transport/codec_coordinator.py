"""Those parts of CoordinatorService's messages that are core values: how to generate, prompts, log probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field

from draftmesh.core.errors import InvalidRequestError, InvalidTextError, PromptEmptyError
from draftmesh.core.sampling import Method, SamplingParams, StopConditions
from draftmesh.core.verify import TokenLogprobs
from draftmesh.transport import codec_common as common
from draftmesh.transport.codec_verify import logprobs_from_proto, logprobs_to_proto
from draftmesh.v1 import common_pb2, coordinator_pb2


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """How to generate, apart from the prompt."""

    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop: StopConditions = field(default_factory=StopConditions)
    method: Method = Method.AUTO
    seed: int | None = None
    """Fixes the text; None: the operating system's randomness."""

    max_draft_tokens: int | None = None
    """Draft tokens of a round at most; None leaves it to the coordinator."""


def generation_params_to_proto(params: GenerationParams, request: coordinator_pb2.GenerateRequest) -> None:
    """Write the parameters into a request."""
    request.sampling.CopyFrom(common.sampling_to_proto(params.sampling))
    request.stop.CopyFrom(common.stop_to_proto(params.stop))
    request.method = common.method_to_proto(params.method)
    if params.seed is not None:
        request.seed = params.seed
    if params.max_draft_tokens is not None:
        request.max_draft_tokens = params.max_draft_tokens


def generation_params_from_proto(
    request: coordinator_pb2.GenerateRequest,
    *,
    default_max_tokens: int = common.DEFAULT_MAX_TOKENS,
    max_tokens_limit: int = common.MAX_TOKENS_LIMIT,
) -> GenerationParams:
    """The parameters of a request, checked; an unset method is ``auto``."""
    return GenerationParams(
        sampling=common.sampling_from_proto(request.sampling),
        stop=common.stop_from_proto(
            request.stop, default_max_tokens=default_max_tokens, max_tokens_limit=max_tokens_limit
        ),
        method=common.requested_method_from_proto(request.method),
        seed=request.seed if request.HasField("seed") else None,
        max_draft_tokens=request.max_draft_tokens if request.HasField("max_draft_tokens") else None,
    )


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
