"""How sure a drafter is of what it has drawn: a guess at whether the target will say the same.

At temperature 0 the probability of the likeliest token at temperature 1 is close to the share of such tokens that a
target accepts. It only decides how far drafts go, so it leaves out penalties and truncation, and draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def confidences_of(
    logits: Tensor,  # [rows, vocab]
    temperatures: Sequence[float],
    tokens: Sequence[Sequence[int]],
) -> list[list[float]]:
    """The probabilities of tokens of each row by softmax(logits / T), with T = 1 for a temperature of 0."""
    width = max(map(len, tokens), default=0)
    filled = torch.tensor([[*own, *[0] * (width - len(own))] for own in tokens], device=logits.device)
    scales = torch.tensor([temperature or 1.0 for temperature in temperatures], device=logits.device)
    laws = (logits.float() / scales.unsqueeze(1)).softmax(dim=-1)
    found = laws.gather(1, filled.view(len(tokens), width)).tolist()
    return [values[: len(own)] for values, own in zip(found, tokens, strict=True)]
