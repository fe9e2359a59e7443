"""Judges one step's sequences together, and finds out whose case it was when that fails."""

from __future__ import annotations

from collections.abc import Sequence as Seq

from torch import Tensor

from draftmesh.core.errors import DraftmeshError, InternalError
from draftmesh.engine.judging import Case, Judge, Judgement
from draftmesh.engine.sequence import Sequence


def judge_batch(
    judge: Judge,
    logits: Tensor,  # [rows, vocab]: 1 + len(draft) rows for each sequence, in order
    seqs: Seq[Sequence],
) -> dict[int, Judgement | DraftmeshError]:
    """What is said to each sequence, by its id; a case that raises has its own error and spoils no other."""
    cases = [Case(seq.history, seq.draft, seq.method, seq.terms) for seq in seqs]
    try:
        judgements = judge.judge(logits, cases) if cases else []
        return {seq.sequence_id: judgement for seq, judgement in zip(seqs, judgements, strict=True)}
    except Exception:  # find out whose case it was
        return _judge_each(judge, logits, seqs, cases)


def as_draftmesh_error(error: Exception) -> DraftmeshError:
    """The error itself if it was raised on purpose, else the bug that it stands for."""
    if isinstance(error, DraftmeshError):
        return error
    wrapped = InternalError(f"{type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def _judge_each(
    judge: Judge, logits: Tensor, seqs: Seq[Sequence], cases: list[Case]
) -> dict[int, Judgement | DraftmeshError]:
    said: dict[int, Judgement | DraftmeshError] = {}
    row = 0
    for seq, case in zip(seqs, cases, strict=True):
        rows = 1 + len(case.draft)
        try:
            said[seq.sequence_id] = judge.judge(logits[row : row + rows], [case])[0]
        except Exception as error:
            said[seq.sequence_id] = as_draftmesh_error(error)
        row += rows
    return said
