"""Judges drafts by ratios of probabilities: ``tli``, ``rejection`` and ``slrs``, and free tokens under them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from draftmesh.core.evidence import ProposalEvidence, PsiEvidence, SparseDistribution, check_evidence
from draftmesh.core.verify import TokenLogprobs
from draftmesh.decoding.case import Case, Judgement
from draftmesh.decoding.history import DrawRow
from draftmesh.decoding.rejection import accepted_tokens, residual_position, residual_weights
from draftmesh.decoding.sampler import Sampler
from draftmesh.decoding.string_rejection import LazyResidual


@dataclass(frozen=True, slots=True)
class _Part:
    """One case's rows, and how many of its draft tokens passed."""

    case: Case
    start: int
    accepted: int

    @property
    def row(self) -> int:
        """The row that the token after the accepted ones is drawn from."""
        return self.start + self.accepted

    @property
    def is_rejected(self) -> bool:
        """Whether a proposal was rejected there, be it one that translates to nothing."""
        missing = isinstance(self.case.terms, PsiEvidence) and self.case.terms.missing_next
        return self.accepted < len(self.case.draft) or missing

    @property
    def rejected_law(self) -> SparseDistribution | None:
        """What the rejected token was drawn from, where that is known whole."""
        if self.is_rejected and isinstance(self.case.terms, ProposalEvidence):
            return self.case.terms.positions[self.accepted]
        return None


class RatioJudge:
    """Judges a batch with one sampler; histories and logits stay as they are."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def judge(
        self,
        logits: Tensor,  # [rows, vocab]: the rows of the cases, one case after the other
        cases: Sequence[Case],
    ) -> list[Judgement]:
        """Judge every case.

        Raises:
            InvalidTokenError: a draft id is outside the vocabulary.
            MalformedBlockError: a case's evidence is not its method's, or contradicts its draft.
            InternalError: the logits are not finite.
        """
        judgements: list[Judgement] = []
        start = 0
        for block in self._blocks(cases):
            end = start + sum(1 + len(case.draft) for case in block)
            judgements += self._judge_block(logits[start:end], block)
            start = end
        return judgements

    def _blocks(self, cases: Sequence[Case]) -> Iterator[list[Case]]:
        """Neighbouring cases with few enough rows for the work arrays; a case alone may have more."""
        block: list[Case] = []
        rows = 0
        for case in cases:
            if block and rows + 1 + len(case.draft) > self._sampler.block_rows:
                yield block
                block, rows = [], 0
            block.append(case)
            rows += 1 + len(case.draft)
        if block:
            yield block

    def _judge_block(self, logits: Tensor, cases: Sequence[Case]) -> list[Judgement]:
        rows: list[DrawRow] = []
        starts: list[int] = []
        for case in cases:
            if case.draft or case.terms is not None:
                check_evidence(case.method, case.draft, _evidence(case), 1 << 32)
            starts.append(len(rows))
            rows.extend(case.history.rows(case.draft))
        law = self._sampler.law(logits, rows)
        chances = _chances(law, cases, starts)
        parts = [
            _Part(case, start, _accepted(case, chances[start : start + len(case.draft)], rows[start:]))
            for case, start in zip(cases, starts, strict=True)
        ]
        return self._conclude(parts, logits, law, rows)

    def _conclude(self, parts: list[_Part], logits: Tensor, law: Tensor, rows: list[DrawRow]) -> list[Judgement]:
        """Draw the token that follows the accepted ones, or leave it to a lazy residual."""
        drawn = [part for part in parts if not self._waits(part)]
        weights = residual_weights(law[[part.row for part in drawn]], [part.rejected_law for part in drawn])
        positions = [residual_position(rows[part.row].position) for part in drawn]
        tokens = iter(self._sampler.draw_from(weights, positions))
        judgements = []
        for part in parts:
            follows = () if self._waits(part) else (next(tokens),)
            ids = (*part.case.draft[: part.accepted], *follows)
            span = slice(part.start, part.start + len(ids))
            residual = None if follows else self._residual(logits, law, rows, part.row)
            logprobs = self._sampler.logprobs(logits[span], rows[span], ids)
            said = tuple(entry for entry in logprobs if entry is not None)
            judgements.append(Judgement(part.accepted, ids, said, residual))
        return judgements

    @staticmethod
    def _waits(part: _Part) -> bool:
        return isinstance(part.case.terms, PsiEvidence) and part.is_rejected

    def _residual(self, logits: Tensor, law: Tensor, rows: list[DrawRow], index: int) -> LazyResidual:
        row = rows[index]
        own = logits[index : index + 1].clone() if row.sampling.logprobs is not None else logits[:0]
        logprobs = partial(_logprobs_later, self._sampler, own, row)
        return LazyResidual(law[index].clone(), row.position, self._sampler.draw_from, logprobs)


def _evidence(case: Case) -> ProposalEvidence | PsiEvidence | None:
    terms = case.terms
    return terms if isinstance(terms, ProposalEvidence | PsiEvidence) else None


def _chances(law: Tensor, cases: Sequence[Case], starts: Sequence[int]) -> list[float]:
    """The probability p of each row's draft token; 0 where there is none, or the target has no row for it."""
    tokens = torch.full((law.shape[0],), law.shape[1], dtype=torch.int64)
    for case, start in zip(cases, starts, strict=True):
        tokens[start : start + len(case.draft)] = torch.tensor(case.draft, dtype=torch.int64)
    tokens = tokens.to(law.device)
    known = tokens < law.shape[1]
    found = law.gather(1, tokens.where(known, 0).unsqueeze(1)).squeeze(1)
    chances: list[float] = found.where(known, 0.0).tolist()
    return chances


def _accepted(case: Case, chances: Sequence[float], rows: Sequence[DrawRow]) -> int:
    terms = case.terms
    if isinstance(terms, ProposalEvidence):
        proposed = [law.probability(token) for token, law in zip(case.draft, terms.positions, strict=True)]
    elif isinstance(terms, PsiEvidence):
        proposed = list(terms.values)
    else:
        return 0
    positions = [row.position for row in rows[: len(case.draft)]]
    return accepted_tokens(case.draft, chances, proposed, positions)


def _logprobs_later(sampler: Sampler, logits: Tensor, row: DrawRow, token: int) -> TokenLogprobs | None:
    return None if row.sampling.logprobs is None else sampler.logprobs(logits, [row], [token])[0]
