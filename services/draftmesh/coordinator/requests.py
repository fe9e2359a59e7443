"""From what a client asks for to a job that can run: every check that a request must pass."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.targets import Target
from draftmesh.core.errors import (
    InvalidRequestError,
    InvalidTextError,
    InvalidTokenError,
    PromptEmptyError,
    PromptTooLongError,
    UnsupportedMethodError,
)
from draftmesh.core.sampling import Method, SamplingParams, StopConditions
from draftmesh.core.text import Item, join_items

OFFERED = (Method.AUTO, Method.OFF, Method.EXACT)
_LONG_TEXT_CHARACTERS = 10_000
"""Text from this length on is encoded on a thread: it would hold up other sessions."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a client asks for, decoded; values that do not depend on the target are checked already."""

    prompt: str | tuple[int, ...]
    """Text, or target token ids."""

    model: str = ""
    """Public name; empty: the only one."""

    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_tokens: int | None = None
    """None: the default, less where the context has less room."""

    stop: tuple[bytes, ...] = ()
    ignore_eos: bool = False
    seed: int | None = None
    method: Method = Method.AUTO
    drafter: str = ""
    """Name of the drafters to use; empty: any."""

    max_draft_tokens: int | None = None
    """None: the coordinator's choice."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, for target and drafter."""

    ids: tuple[int, ...]
    context: tuple[Item, ...]


async def encode_prompt(request: GenerationRequest, target: Target) -> Prompt:
    """The prompt as the target's tokens, and as text for a drafter.

    Raises:
        PromptEmptyError: it has no tokens.
        InvalidTokenError: an id lies outside the vocabulary.
        PromptTooLongError: it leaves no room for a token.
    """
    prompt = request.prompt if isinstance(request.prompt, tuple) else await _encode_text(request.prompt, target)
    limit = target.info.max_context_tokens
    if not prompt:
        raise PromptEmptyError("the prompt has no tokens")
    if len(prompt) >= limit:
        raise PromptTooLongError(f"the prompt has {len(prompt)} tokens, but the model's context only {limit}")
    vocabulary = target.tokenizer.vocabulary
    wrong = next((token for token in prompt if not 0 <= token < len(vocabulary)), None)
    if wrong is not None:
        raise InvalidTokenError(f"prompt token {wrong} lies outside the vocabulary of {len(vocabulary)} tokens")
    if isinstance(request.prompt, str):
        return Prompt(prompt, (request.prompt.encode(),))
    return Prompt(prompt, join_items(vocabulary.items(prompt)))


def stop_conditions(request: GenerationRequest, prompt: Prompt, target: Target, default: int) -> StopConditions:
    """When the generation ends.

    Raises:
        PromptTooLongError: prompt and ``max_tokens`` exceed the context.
        InvalidTextError: a stop string is not UTF-8.
        InvalidRequestError: a value is outside its range.
    """
    context = target.info.max_context_tokens
    room = context - len(prompt.ids)
    max_tokens = min(default, room) if request.max_tokens is None else request.max_tokens
    stop = StopConditions(max_tokens, request.stop, request.ignore_eos)
    stop.validate(max_tokens_limit=context)
    _require_utf8(request.stop)
    if max_tokens > room:
        raise PromptTooLongError(
            f"prompt ({len(prompt.ids)}) and max_tokens ({max_tokens}) exceed the model's context of {context} tokens"
        )
    return stop


def check_method(method: Method, target: Target) -> None:
    """Raise UnsupportedMethodError unless the method is offered here, and by the target's verifiers."""
    if method not in OFFERED:
        offered = ", ".join(offer.label for offer in OFFERED)
        raise UnsupportedMethodError(f"method {method.label} is not offered yet; offered: {offered}")
    if method is not Method.AUTO and method not in target.info.methods:
        raise UnsupportedMethodError(f"the verifiers of {target.info.model} do not offer method {method.label}")


def draft_tokens(request: GenerationRequest, config: CoordinatorConfig) -> int:
    """Draft tokens of a round at most; raises InvalidRequestError if the request wants too many."""
    wanted = config.draft_tokens if request.max_draft_tokens is None else request.max_draft_tokens
    if not 0 <= wanted <= config.max_draft_tokens:
        raise InvalidRequestError(f"max_draft_tokens must be in [0, {config.max_draft_tokens}], got {wanted}")
    return wanted


def _require_utf8(stop: tuple[bytes, ...]) -> None:
    for text in stop:
        try:
            text.decode()
        except UnicodeDecodeError:
            raise InvalidTextError(f"stop string {text!r} is not UTF-8") from None


async def _encode_text(text: str, target: Target) -> tuple[int, ...]:
    if len(text) < _LONG_TEXT_CHARACTERS:
        return tuple(target.tokenizer.encode_prompt(text))
    return tuple(await asyncio.to_thread(target.tokenizer.encode_prompt, text))
