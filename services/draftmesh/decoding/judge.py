"""The batch entry of the engine: one call judges the drafts of every sequence, each by its session's method."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from draftmesh.core.errors import UnsupportedMethodError
from draftmesh.core.sampling import Method
from draftmesh.decoding.case import Case, Judgement
from draftmesh.decoding.exact import accept
from draftmesh.decoding.history import DrawRow
from draftmesh.decoding.ratio_judge import RatioJudge
from draftmesh.decoding.sampler import Draws, Sampler

__all__ = ["SUPPORTED_METHODS", "Case", "Judge", "Judgement", "require_supported"]

SUPPORTED_METHODS = frozenset(Method) - {Method.AUTO}
"""Methods that :class:`Judge` can judge."""


def require_supported(method: Method) -> None:
    """Refuse a method before a sequence uses it, so that no batch fails on its account.

    Raises:
        UnsupportedMethodError: the judge cannot judge it.
    """
    if method not in SUPPORTED_METHODS:
        raise UnsupportedMethodError(f"method {method.label} is not offered here")


class Judge:
    """Judges the drafts of a batch with one sampler."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._ratios = RatioJudge(sampler)

    def judge(
        self,
        logits: Tensor,  # [rows, vocab]: the rows of the cases, one case after the other
        cases: Sequence[Case],
    ) -> list[Judgement]:
        """Judge every case; histories and logits stay as they are.

        Raises:
            UnsupportedMethodError: a case has a method outside SUPPORTED_METHODS.
            InvalidTokenError: a draft id is outside the vocabulary.
            MalformedBlockError: a case's evidence is not its method's, or contradicts its draft.
            InternalError: the logits are not finite.
        """
        for case in cases:
            require_supported(case.method)
        by_ratio = [case.method.judges_by_ratio for case in cases]
        if not any(by_ratio):
            return self._match(logits, cases)
        if all(by_ratio):
            return self._ratios.judge(logits, cases)
        return self._judge_both(logits, cases, by_ratio)

    def _judge_both(self, logits: Tensor, cases: Sequence[Case], by_ratio: list[bool]) -> list[Judgement]:
        """Each kind in one batch of its own."""
        rows = torch.tensor([1 + len(case.draft) for case in cases])
        ratio_rows = torch.tensor(by_ratio).repeat_interleave(rows).to(logits.device)
        matched = iter(
            self._match(logits[~ratio_rows], [c for c, ratio in zip(cases, by_ratio, strict=True) if not ratio])
        )
        weighed = iter(
            self._ratios.judge(logits[ratio_rows], [c for c, ratio in zip(cases, by_ratio, strict=True) if ratio])
        )
        return [next(weighed if ratio else matched) for ratio in by_ratio]

    def _match(self, logits: Tensor, cases: Sequence[Case]) -> list[Judgement]:
        rows: list[DrawRow] = []
        for case in cases:
            rows.extend(case.history.rows(case.draft))
        draws = self._sampler.draw(logits, rows)
        ends = accumulate(1 + len(case.draft) for case in cases)
        return [
            _judge_matching(case, draws, slice(end - 1 - len(case.draft), end))
            for case, end in zip(cases, ends, strict=True)
        ]


def _judge_matching(case: Case, draws: Draws, own: slice) -> Judgement:
    acceptance = accept(case.draft, draws.ids[own])
    logprobs = draws.logprobs[own][: len(acceptance.tokens)]
    return Judgement(acceptance.accepted, acceptance.tokens, tuple(entry for entry in logprobs if entry is not None))
