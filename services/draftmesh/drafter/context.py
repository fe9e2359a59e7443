"""What a model drafter conditions on: the prompt in its own tokens, and as much of it as its context holds.

A drafter may forget: with less context it guesses worse, and nothing else changes. So where a target's context is
longer than the drafter's, the oldest tokens are left out instead of refusing the session.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from draftmesh.core.errors import PromptEmptyError
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import NoiseKey, SamplingParams
from draftmesh.core.text import Item, Role
from draftmesh.decoding.history import History
from draftmesh.drafter.window import ContextWindow
from draftmesh.tokenization.tokenizer import Tokenizer

_REWINDABLE_TOKENS = 64  # generated tokens that stay rewindable when older ones are left out


def encode_context(tokenizer: Tokenizer, context: Sequence[Item]) -> list[int]:
    """The context as this model's own prompt: its BOS and its prefix space, whatever the target's prompt had.

    Raises:
        PromptEmptyError: no text, and a vocabulary without a token to begin with.
        InvalidTextError: the vocabulary cannot express the text.
    """
    ids = _first(tokenizer, context)
    for item in context[1:]:
        ids += _continue(tokenizer, item)
    if not ids:
        ids = [*_begin(tokenizer.vocabulary.ids_of_role(role) for role in (Role.BOS, Role.EOS, Role.END_OF_TURN))]
    if not ids:
        raise PromptEmptyError("the context is empty, and the drafter's vocabulary has no token to begin with")
    return ids


def _first(tokenizer: Tokenizer, context: Sequence[Item]) -> list[int]:
    """The first item with what the model's own tokenizer adds in front."""
    match context[:1]:
        case [bytes() as data]:
            try:
                return tokenizer.encode_prompt(data.decode())
            except UnicodeDecodeError:
                return [*tokenizer.encode_prompt(""), *tokenizer.encode_bytes(data)]
        case [Role() as role]:
            own = tokenizer.encode_prompt("")
            return own if role is Role.BOS and own else [*own, *_continue(tokenizer, role)]
        case _:
            return tokenizer.encode_prompt("")


def _continue(tokenizer: Tokenizer, item: Item) -> list[int]:
    if isinstance(item, bytes):
        return tokenizer.encode_bytes(item)
    return list(tokenizer.vocabulary.ids_of_role(item)[:1])


def _begin(choices: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return next((ids[:1] for ids in choices if ids), ())


def fit(prompt_ids: Sequence[int], generated_ids: Sequence[int], limit_tokens: int, room_tokens: int) -> ContextWindow:
    """Choose what a sequence of at most ``limit_tokens`` holds so that ``room_tokens`` more can follow.

    Everything if it fits. Else the first token (often BOS, without which many models go astray) and the newest half,
    so that the next time comes only after another half.
    """
    length = len(prompt_ids) + len(generated_ids)
    if length + room_tokens <= limit_tokens:
        return ContextWindow(tuple(prompt_ids), 0)
    keep = max(2, min(limit_tokens // 2, limit_tokens - room_tokens))
    first_generated = max(0, len(generated_ids) - min(_REWINDABLE_TOKENS, keep - 2))
    tail = keep - 1 - (len(generated_ids) - first_generated)
    fixed = (*prompt_ids, *generated_ids[:first_generated])
    return ContextWindow((fixed[0], *fixed[max(1, len(fixed) - tail) :]), first_generated)


def fit_steadily(
    prompt_ids: Sequence[int], generated_ids: Sequence[int], limit_tokens: int, room_tokens: int
) -> ContextWindow:
    """As :func:`fit`, but a function of the tokens alone, whatever window came before.

    Whoever draws for the same text then conditions on the same tokens. What is left out grows by half of what fits at a
    time, and all generated tokens that are kept can be rewound.
    """
    length = len(prompt_ids) + len(generated_ids)
    if length + room_tokens <= limit_tokens:
        return ContextWindow(tuple(prompt_ids), 0)
    step = max(1, (limit_tokens - room_tokens) // 2)
    start = -(-(length + room_tokens + 1 - limit_tokens) // step) * step
    first_generated = max(0, start - len(prompt_ids))
    return ContextWindow((*prompt_ids[:1], *prompt_ids[start:]), first_generated)


class WindowHistory(History):
    """The history of a sequence that holds the newest generated tokens alone.

    Noise and penalties go by the whole generation; the engine counts from the window's first generated token.
    """

    def __init__(
        self,
        table: TokenTable,
        sampling: SamplingParams,
        noise_key: NoiseKey,
        *,
        prompt_ids: Sequence[int],
        generated_ids: Sequence[int],
        first_generated: int,
    ) -> None:
        """Know all of ``prompt_ids`` and ``generated_ids``, and count from ``first_generated``."""
        super().__init__(table, sampling, noise_key, prompt_ids)
        self._first_generated = first_generated
        self.append(generated_ids)

    def __len__(self) -> int:
        """Generated tokens in the window."""
        return super().__len__() - self._first_generated

    def truncate(self, num_tokens: int) -> None:
        """Keep the first ``num_tokens`` of the window."""
        super().truncate(self._first_generated + num_tokens)
