"""Measures a model's own text: its entropy, and whether greedy text collapses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from draftmesh.demo.encoding import text_of
from draftmesh.demo.sampling import continue_rows, sample_at
from draftmesh.tokenization import Tokenizer

_COLLAPSED_LINES = 5
_REPEATED_LINES = 4


@dataclass(frozen=True, slots=True)
class Collapse:
    """Shares of texts: last five lines equal; any line four times or more."""

    looped: float
    repetitive: float


def measure_collapse(texts: Sequence[str]) -> Collapse:
    """How many of `texts` end in one repeated line, or repeat some line often."""
    looped = sum(ends_in_a_loop(text) for text in texts)
    repetitive = sum(most_repeats(text) >= _REPEATED_LINES for text in texts)
    return Collapse(looped / len(texts), repetitive / len(texts))


def collapse_at(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    prompts: Tensor,  # [rows, prompt tokens], int64
    *,
    temperature: float,
    new_tokens: int,
    seed: int = 5,
) -> Collapse:
    """How much the model's continuations of `prompts` run in circles."""
    draw = sample_at([temperature] * len(prompts), torch.Generator().manual_seed(seed))
    rows = continue_rows(model, prompts, new_tokens, draw).tolist()
    return measure_collapse([text_of(tokenizer, row) for row in rows])


def ends_in_a_loop(text: str) -> bool:
    """Whether the last five lines that are not empty are all equal."""
    lines = _lines(text)[-_COLLAPSED_LINES:]
    return len(lines) == _COLLAPSED_LINES and len(set(lines)) == 1


def most_repeats(text: str) -> int:
    """How often the most frequent line that is not empty occurs."""
    return max(Counter(_lines(text)).values(), default=0)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def measure_entropy(model: LlamaForCausalLM, prompts: Tensor, *, new_tokens: int = 192, seed: int = 5) -> float:
    """Mean entropy in nats per token at T = 1 along the model's own text after prompts [rows, n]."""
    generator = torch.Generator().manual_seed(seed)
    draw = sample_at([1.0] * len(prompts), generator)
    entropies: list[float] = []

    def choose(logits: Tensor) -> Tensor:
        log_probabilities = logits.log_softmax(dim=-1)
        entropies.append(-(log_probabilities.exp() * log_probabilities).sum(dim=-1).mean().item())
        return draw(logits)

    continue_rows(model, prompts, new_tokens, choose)
    return sum(entropies) / len(entropies)
