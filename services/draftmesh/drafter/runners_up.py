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
    """``count`` of them at most for each row, the nearest first, with the probabilities that the model gives them."""
    ranks = sampler.ranked(logits, rows, count + 1)
    found = [[token for token in ids if token != own][:count] for ids, own in zip(ranks, drawn, strict=True)]
    padded = torch.tensor([ids + [0] * (count - len(ids)) for ids in found], device=logits.device)  # [rows, count]
    likely = laws_of(logits, [row.sampling.temperature for row in rows]).gather(1, padded).tolist()
    return [tuple(map(RunnerUp, ids, confidences)) for ids, confidences in zip(found, likely, strict=True)]
