"""Targets that test drafts by something else than the law that they are to have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from draftmesh.core.evidence import PsiEvidence
from draftmesh.decoding import judge as judge_module
from draftmesh.decoding import ratio_judge as ratio_judge_module
from draftmesh.decoding.history import DrawRow
from draftmesh.decoding.judge import Case, Judge, Judgement
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.ratio_judge import RatioJudge
from draftmesh.decoding.sampler import Sampler
from draftmesh.decoding.streams import Stream, stream_key
from draftmesh.tokenization.intersection import intersect
from tests.helpers.toy_language import ToyModel, toy_drafter, toy_target
from tests.lossless import cells as cells_module
from tests.lossless.planted.planting import Plant, replaced


class _OtherLaw(Sampler):
    """A sampler that says another law than it samples."""

    def __init__(self, original: Sampler, change: Callable[[Tensor, Sequence[DrawRow]], Tensor]) -> None:
        self.__dict__.update(original.__dict__)
        self._change = change

    def law(self, logits: Tensor, rows: Sequence[DrawRow]) -> Tensor:
        """The other law."""
        return self._change(logits, rows)


def tests_without_temperature() -> AbstractContextManager[None]:
    """The target's temperature is missing in the test and in the residual."""

    def changed(original: Sampler) -> RatioJudge:
        def law(logits: Tensor, rows: Sequence[DrawRow]) -> Tensor:
            return original.law(logits, [replace(row, sampling=replace(row.sampling, temperature=1.0)) for row in rows])

        return RatioJudge(_OtherLaw(original, law))

    return replaced(judge_module, "RatioJudge", changed)


def masks_to_the_intersection() -> AbstractContextManager[None]:
    """The target says shared tokens alone."""
    shared = list(intersect(toy_target().vocabulary, toy_drafter().vocabulary).target_ids)

    def changed(original: Sampler) -> RatioJudge:
        def law(logits: Tensor, rows: Sequence[DrawRow]) -> Tensor:
            whole = original.law(logits, rows)
            masked = torch.zeros_like(whole)
            masked[:, shared] = whole[:, shared]
            return masked / masked.sum(dim=-1, keepdim=True)

        return RatioJudge(_OtherLaw(original, law))

    return replaced(judge_module, "RatioJudge", changed)


def _residual_with_the_drafts_noise(position: NoisePosition, _trial: int = 0) -> NoisePosition:
    """At the first token this is where the draft was drawn."""
    return NoisePosition(stream_key(position.key, Stream.DRAFT), position.offset, position.zero_byte_tokens)


class _AcceptingTheArgmax(Judge):
    """Lets a draft token pass if it is the likeliest, whatever was drawn."""

    def judge(self, logits: Tensor, cases: Sequence[Case]) -> list[Judgement]:
        """Matching methods alone."""
        rows = [row for case in cases for row in case.history.rows(case.draft)]
        drawn = self._sampler.draw(logits, rows).ids
        best = logits[:, : len(toy_target().vocabulary)].argmax(dim=-1).tolist()
        judgements, start = [], 0
        for case in cases:
            accepted = 0
            while accepted < len(case.draft) and case.draft[accepted] in (
                drawn[start + accepted],
                best[start + accepted],
            ):
                accepted += 1
            judgements.append(Judgement(accepted, (*case.draft[:accepted], drawn[start + accepted])))
            start += len(case.draft) + 1
        return judgements


class _NoTextIsNoDraft(Judge):
    """A draft that the rule reads as nothing counts as no draft: a free draw in place of the residual."""

    def judge(self, logits: Tensor, cases: Sequence[Case]) -> list[Judgement]:
        """With evidence that says nothing of what is missing."""
        return super().judge(
            logits,
            [
                replace(case, terms=replace(case.terms, missing_next=False))
                if isinstance(case.terms, PsiEvidence)
                else case
                for case in cases
            ],
        )


def _judging_with(kind: Callable[[Sampler], Judge]) -> Plant:
    def make(target: ToyModel) -> Judge:
        return kind(Sampler(target.vocabulary, "cpu", target.head_rows))

    return partial(replaced, cells_module, "toy_judge", make)


draws_residuals_with_the_drafts_noise: Plant = partial(
    replaced, ratio_judge_module, "residual_position", _residual_with_the_drafts_noise
)
"""A residual is drawn with the noise that drew the draft."""

accepts_the_argmax = _judging_with(_AcceptingTheArgmax)
"""A draft token is accepted for being the argmax."""

forgets_what_is_missing = _judging_with(_NoTextIsNoDraft)
"""A held-back or over-cap draft is treated as no draft."""
