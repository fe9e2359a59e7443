"""Proof that two texts of one target parted at a near tie, and nowhere else.

Verifying k + 1 rows sums in another order than decoding one row, so in fp32 two logits that are closer than about
1e-4 may swap. A parting is excused if and only if nudging the two tokens' logits by that much, one way and the other,
makes the draw at that position give the one token and the other: the noise, the filters and their borders included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import NoiseKey, SamplingParams
from draftmesh.decoding.history import History
from draftmesh.decoding.sampler import Sampler

NEAR_TIE_LOGITS = 1e-4
"""Largest difference between two forwards' logits that is put down to the order of summation."""


@dataclass(frozen=True, slots=True)
class Parting:
    """Where two sequences of generated ids part."""

    position: int
    left: int
    right: int


def parting(left: Sequence[int], right: Sequence[int]) -> Parting | None:
    """The first position at which two generations differ; None when one begins with the other."""
    for position, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return Parting(position, a, b)
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """A target outside of draftmesh: plain transformers, and the law that its logits are drawn from."""

    model: torch.nn.Module
    table: TokenTable

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> Tensor:
        """Logits at every position of ``ids``, float32, shape [len(ids), vocab]."""
        logits: Tensor = self.model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
        return logits.float()

    def is_near_tie(
        self,
        where: Parting,
        common: Sequence[int],
        prompt_ids: Sequence[int],
        *,
        sampling: SamplingParams,
        key: NoiseKey,
    ) -> bool:
        """Whether nudging two logits decides which of the parting's tokens is drawn after ``common``."""
        history = History(self.table, sampling, key, prompt_ids)
        history.append(common)
        logits = self.logits([*prompt_ids, *common])[-1:]
        sampler = Sampler(self.table, "cpu", logits.shape[-1])

        def drawn(favoured: int, other: int) -> int:
            nudged = logits.clone()
            nudged[0, favoured] += NEAR_TIE_LOGITS
            nudged[0, other] -= NEAR_TIE_LOGITS
            return sampler.draw(nudged, history.rows(())).ids[0]

        return (drawn(where.left, where.right), drawn(where.right, where.left)) == (where.left, where.right)
