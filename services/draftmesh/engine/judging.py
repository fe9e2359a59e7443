"""The seam between the engine and the mathematics of decoding: who decides which draft tokens stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from draftmesh.decoding.judge import Case, Judgement

__all__ = ["Case", "Judge", "Judgement"]


class Judge(Protocol):
    """Decides a batch of cases; ``draftmesh.decoding.judge.Judge`` is the real one."""

    def judge(
        self,
        logits: Tensor,  # [rows, vocab], float32: 1 + len(draft) rows for each case, in order
        cases: Sequence[Case],
    ) -> list[Judgement]:
        """One judgement for each case; changes no history."""
