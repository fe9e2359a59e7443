"""From what a client asks for to a job that can run: every check that a request must pass."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.methods.candidates import suits
from draftmesh.coordinator.targets import Target
from draftmesh.core.endpoint import DrafterInfo, VerifierInfo
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


def check_method(method: Method, target: VerifierInfo, drafters: Collection[DrafterInfo], *, trusted: bool) -> None:
    """Refuse a method that this target cannot be decoded with here.

    Raises:
        UnsupportedMethodError: its verifiers or none of the ``drafters`` (if there are any) offer it, or it relies on
            what drafters say, and they are not ``trusted``.
    """
    if method is Method.AUTO:
        return
    if method not in target.methods:
        raise UnsupportedMethodError(f"the verifiers of {target.model} do not offer method {method.label}")
    if method.judges_by_ratio and not trusted:
        raise UnsupportedMethodError(
            f"method {method.label} relies on what drafters say of their own draws, and the drafters of this pool are "
            "not trusted (trust_drafters); exact and tli-exact need no trust"
        )
    if method is not Method.OFF and drafters and not any(suits(method, target, drafter) for drafter in drafters):
        needs = ", which needs one with the target's own vocabulary" if method is Method.REJECTION else ""
        raise UnsupportedMethodError(f"no drafter offers method {method.label} for {target.model}{needs}")


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
