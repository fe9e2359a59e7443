"""The tokens that a draw has nearly drawn instead: the ones that its noise chooses once what was drawn is ruled out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from draftmesh.decoding.history import DrawRow
from draftmesh.decoding.sampler import Sampler
from draftmesh.drafter.confidence import laws_of
from draftmesh.drafter.draft_token import RunnerUp


def runners_up(
    sampler: Sampler,
    logits: Tensor,  # [rows, vocab]; not changed
    rows: Sequence[DrawRow],
    drawn: Sequence[int],
    count: int,
) -> list[tuple[RunnerUp, ...]]:
    """``count`` of them for each row, the nearest first, with the probabilities that the model gives them."""
    left, latest = logits.clone(), torch.tensor(drawn, device=logits.device)
    found: list[Tensor] = []
    for _ in range(count):
        left.scatter_(1, latest.unsqueeze(1), float("-inf"))
        latest = torch.tensor(sampler.draw(left, rows).ids, device=logits.device)
        found.append(latest)
    tokens = torch.stack(found, dim=1)  # [rows, count]
    likely = laws_of(logits, [row.sampling.temperature for row in rows]).gather(1, tokens)
    return [
        tuple(map(RunnerUp, own, confidences))
        for own, confidences in zip(tokens.tolist(), likely.tolist(), strict=True)
    ]
