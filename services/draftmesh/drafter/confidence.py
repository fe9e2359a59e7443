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
    tokens: Sequence[int],
) -> list[float]:
    """The probability of each row's token by softmax(logits / T), with T = 1 for a temperature of 0."""
    chosen = torch.tensor(tokens, device=logits.device).unsqueeze(1)
    found: list[float] = laws_of(logits, temperatures).gather(1, chosen).squeeze(1).tolist()
    return found


def laws_of(
    logits: Tensor,  # [rows, vocab]
    temperatures: Sequence[float],
) -> Tensor:  # [rows, vocab], float32
    """The probabilities that confidences are."""
    scales = torch.tensor([temperature or 1.0 for temperature in temperatures], device=logits.device)
    return (logits.float() / scales.unsqueeze(1)).softmax(dim=-1)
