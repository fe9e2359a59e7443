"""Token streams: documents encoded, joined by end of text, and cut into training windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Source:
    """A token stream and the share of training windows that come from it."""

    stream: Tensor  # [tokens], int64
    weight: float


def encode_stream(tokenizer: Tokenizer, texts: Sequence[str], end_of_text_id: int) -> Tensor:
    """All texts as one stream, an end of text before each.  Returns int64 [tokens]."""
    tokenizer.encode_special_tokens = True  # a text that spells a special token stays a text
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    ids: list[int] = []
    for encoding in encodings:
        ids.append(end_of_text_id)
        ids.extend(encoding.ids)
    return torch.tensor(ids, dtype=torch.int64)


def batches(
    sources: Sequence[Source], *, window_tokens: int, windows: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Endless batches [windows, window_tokens]; every source is gone through before it repeats."""
    cut = [_windows(source.stream, window_tokens, generator) for source in sources]
    weights = torch.tensor([source.weight for source in sources])
    while True:
        chosen = torch.multinomial(weights, windows, replacement=True, generator=generator)
        yield torch.stack([next(cut[int(index)]) for index in chosen])


def _windows(stream: Tensor, window_tokens: int, generator: torch.Generator) -> Iterator[Tensor]:
    count = len(stream) // window_tokens - 1
    while True:
        shift = int(torch.randint(window_tokens, (1,), generator=generator))
        for index in torch.randperm(count, generator=generator).tolist():
            start = shift + index * window_tokens
            yield stream[start : start + window_tokens]
