"""The target's own text: what it is sharpened on, and what its drafters are distilled from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM

from draftmesh.demo.encoding import text_of
from draftmesh.demo.evaluate import most_repeats
from draftmesh.demo.sampling import continue_rows, sample_at
from draftmesh.tokenization import Tokenizer

PROMPT_TOKENS = (16, 32, 64, 128)
ROW_TOKENS = 256
_REPEATED_LINES = 4
_GRAM_TOKENS = 6
_LEAST_NEW_GRAMS = 0.7
_LONGEST_PERIOD_TOKENS = 60
_LEAST_LOOP_TOKENS = 12

Temperatures = Callable[[int, torch.Generator], Tensor]
"""Draws the temperatures [rows] of a batch."""


@dataclass(frozen=True, slots=True)
class TextPlan:
    """How to generate: batches of `rows`, each row `row_tokens` long, its prompt included."""

    temperatures: Temperatures
    rows: int = 192
    row_tokens: int = ROW_TOKENS
    seed: int = 11


def generate_rows(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    stream: Tensor,  # [tokens] of the corpus, in the target's ids
    plan: TextPlan,
) -> Iterator[list[list[int]]]:
    """Endless batches of rows: a prompt from the corpus and its continuation, as ids."""
    generator = torch.Generator().manual_seed(plan.seed)
    starts = _line_starts(stream, tokenizer)
    while True:
        for prompt_tokens in PROMPT_TOKENS:
            chosen = starts[torch.randint(len(starts), (plan.rows,), generator=generator)]
            prompts = stream[chosen[:, None] + torch.arange(prompt_tokens)]
            new = continue_rows(
                model,
                prompts,
                plan.row_tokens - prompt_tokens,
                sample_at(plan.temperatures(plan.rows, generator), generator),
                dtype=torch.bfloat16,
            )
            yield torch.cat([prompts, new], dim=1).tolist()


def low_temperatures(rows: int, generator: torch.Generator) -> Tensor:
    """A quarter greedy, the others evenly up to 0.75: what the target says when it is sure."""
    return (torch.rand(rows, generator=generator) - 0.25).clamp(min=0.0)


def serving_temperatures(rows: int, generator: torch.Generator) -> Tensor:
    """A third greedy, a third at 1, a third between: what a drafter will be asked for."""
    drawn = 3.0 * torch.rand(rows, generator=generator) - 1.0
    return drawn.clamp(0.0, 1.0)


def for_minutes(batches: Iterator[list[list[int]]], minutes: float) -> Iterator[list[int]]:
    """The rows of `batches` until `minutes` have passed."""
    deadline = time.monotonic() + minutes * 60.0
    while time.monotonic() < deadline:
        yield from next(batches)


def loop_starts_at(row: Sequence[int]) -> int | None:
    """The first token that goes on with a third repetition, or None.

    A loop is a run of tokens that equal those one period before, for two periods and at least
    `_LEAST_LOOP_TOKENS`.
    """
    ids = torch.tensor(row)
    first: int | None = None
    for period in range(1, min(_LONGEST_PERIOD_TOKENS, len(row) // 3) + 1):
        same = (ids[period:] == ids[:-period]).to(torch.int64)
        run_tokens = max(2 * period, _LEAST_LOOP_TOKENS)
        totals = functional.pad(same.cumsum(0), (1, 0))
        full = (totals[run_tokens:] - totals[:-run_tokens] == run_tokens).nonzero()
        if len(full):
            start = int(full[0]) + run_tokens + period
            first = start if first is None else min(first, start)
    return first if first is not None and first < len(row) else None


def repelled_loop(row: Sequence[int], start: int) -> list[int]:
    """`row` with its tokens from `start` on written as repelled ones (see `fitting.mean_loss`)."""
    return [*row[:start], *(-1 - token_id for token_id in row[start:])]


def is_lively(tokenizer: Tokenizer, row: Sequence[int]) -> bool:
    """Whether a text goes on saying new things: few repeated lines, few repeated token runs."""
    ids = list(row)
    grams = [tuple(ids[start : start + _GRAM_TOKENS]) for start in range(len(ids) - _GRAM_TOKENS)]
    if len(set(grams)) < _LEAST_NEW_GRAMS * len(grams):
        return False
    return most_repeats(text_of(tokenizer, ids)) < _REPEATED_LINES


def _line_starts(stream: Tensor, tokenizer: Tokenizer) -> Tensor:
    """Positions in `stream` [tokens] that begin a line and leave room for a prompt."""
    vocabulary = tokenizer.vocabulary
    ends_line = torch.tensor([vocabulary.token_bytes(token).endswith(b"\n") for token in range(len(vocabulary))])
    starts = ends_line[stream].nonzero()[:, 0] + 1
    return starts[starts < len(stream) - max(PROMPT_TOKENS)]
