"""Token streams: documents encoded, joined by end of text, and cut into training windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from draftmesh.demo.encoding import end_of_text_id, ids_of
from draftmesh.tokenization import Tokenizer


@dataclass(frozen=True, slots=True)
class Source:
    """A token stream and the share of training windows that come from it.

    Windows of an `aligned` stream begin at multiples of their length; those of another anywhere.
    """

    stream: Tensor  # [tokens], int64
    weight: float
    aligned: bool = False


def encode_stream(tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """All texts as one stream, an end of text before each.  Returns int64 [tokens]."""
    ids: list[int] = []
    for text in texts:
        ids.append(end_of_text_id(tokenizer))
        ids.extend(ids_of(tokenizer, text))
    return torch.tensor(ids, dtype=torch.int64)


def batches(
    sources: Sequence[Source], *, window_tokens: int, windows: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Endless batches [windows, window_tokens]; every source is gone through before it repeats."""
    cut = [_windows(source, window_tokens, generator) for source in sources]
    weights = torch.tensor([source.weight for source in sources])
    while True:
        chosen = torch.multinomial(weights, windows, replacement=True, generator=generator)
        yield torch.stack([next(cut[int(index)]) for index in chosen])


def _windows(source: Source, window_tokens: int, generator: torch.Generator) -> Iterator[Tensor]:
    count = len(source.stream) // window_tokens - (0 if source.aligned else 1)
    while True:
        shift = 0 if source.aligned else int(torch.randint(window_tokens, (1,), generator=generator))
        for index in torch.randperm(count, generator=generator).tolist():
            start = shift + index * window_tokens
            yield source.stream[start : start + window_tokens]


def prompt_rows(stream: Tensor, rows: int, *, prompt_tokens: int = 48) -> Tensor:
    """`rows` prompts spread evenly over `stream` [tokens]: int64 [rows, prompt_tokens]."""
    starts = torch.linspace(0, len(stream) - prompt_tokens, rows).long()
    return stream[starts[:, None] + torch.arange(prompt_tokens)]
