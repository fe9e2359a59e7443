"""The tokens that a draw has nearly drawn instead: the ones that its noise chooses once what was drawn is ruled out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from draftmesh.decoding.history import DrawRow
from draftmesh.decoding.sampler import Sampler
from draftmesh.drafter.confidence import confidences_of
from draftmesh.drafter.draft_token import RunnerUp


def runners_up(
    sampler: Sampler,
    logits: Tensor,  # [rows, vocab]; not changed
    rows: Sequence[DrawRow],
    drawn: Sequence[int],
    count: int,
) -> list[tuple[RunnerUp, ...]]:
    """``count`` of them for each row, the nearest first, with the probabilities that the model gives them."""
    temperatures = [row.sampling.temperature for row in rows]
    left, latest = logits.clone(), list(drawn)
    found: list[list[RunnerUp]] = [[] for _ in rows]
    for _ in range(count):
        left[range(len(rows)), latest] = float("-inf")
        latest = sampler.draw(left, rows).ids
        for own, token, confidence in zip(found, latest, confidences_of(logits, temperatures, latest), strict=True):
            own.append(RunnerUp(token, confidence))
    return list(map(tuple, found))
