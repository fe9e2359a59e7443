"""The batch entry of the engine: one call draws for every row of every sequence, then judges each draft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from draftmesh.core.errors import UnsupportedMethodError
from draftmesh.core.evidence import Evidence
from draftmesh.core.sampling import Method
from draftmesh.core.verify import TokenLogprobs
from draftmesh.decoding.exact import accept
from draftmesh.decoding.history import DrawRow, History
from draftmesh.decoding.sampler import Draws, Sampler

MATCHING_METHODS = frozenset({Method.OFF, Method.EXACT, Method.TLI_EXACT})
"""Methods whose test is equality with the target's own draw; they need no evidence."""

SUPPORTED_METHODS = MATCHING_METHODS
"""Methods that :class:`Judge` can judge."""


@dataclass(frozen=True, slots=True)
class Case:
    """One sequence's part of a batch: 1 + len(draft) rows of logits, in order."""

    history: History
    draft: tuple[int, ...] = ()
    method: Method = Method.EXACT
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the target says to one case."""

    accepted: int
    """Leading tokens that came from the draft."""

    tokens: tuple[int, ...]
    """The accepted tokens, then one recovered or bonus token."""

    logprobs: tuple[TokenLogprobs, ...] = ()
    """One for each token, when the sampling asks for them."""


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

    def judge(
        self,
        logits: Tensor,  # [rows, vocab]: the rows of the cases, one case after the other
        cases: Sequence[Case],
    ) -> list[Judgement]:
        """Judge every case; histories stay as they are.

        Raises:
            UnsupportedMethodError: a case has a method outside SUPPORTED_METHODS.
            InvalidTokenError: a draft id is outside the vocabulary.
            InternalError: the logits are not finite.
        """
        for case in cases:
            require_supported(case.method)
        rows: list[DrawRow] = []
        for case in cases:
            rows.extend(case.history.rows(case.draft))
        draws = self._sampler.draw(logits, rows)
        judgements, start = [], 0
        for case in cases:
            end = start + len(case.draft) + 1
            judgements.append(_judge_matching(case, Draws(draws.ids[start:end], draws.logprobs[start:end])))
            start = end
        return judgements


def _judge_matching(case: Case, draws: Draws) -> Judgement:
    acceptance = accept(case.draft, draws.ids)
    logprobs = draws.logprobs[: len(acceptance.tokens)]
    return Judgement(acceptance.accepted, acceptance.tokens, tuple(entry for entry in logprobs if entry is not None))
