"""The judge of a drafter's engine: what a step makes of a sequence's rows, by the terms of its request.

Without terms, or with tokens to redraw, a token is drawn with the session's keyed noise as a target draws it
(``exact``). With a shape a proposal is drawn from a law that is kept (``decoding.proposal``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, compress
from operator import not_

import torch
from torch import Tensor

from draftmesh.core.errors import InternalError
from draftmesh.core.protocols import TokenTable
from draftmesh.decoding.exact import accept
from draftmesh.decoding.history import DrawRow
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.proposal import Proposal, ProposalSampler, ProposalShape
from draftmesh.decoding.sampler import Sampler
from draftmesh.drafter.confidence import confidences_of
from draftmesh.drafter.draft_token import RunnerUp
from draftmesh.drafter.healing import Healing
from draftmesh.engine.judging import Case, Judgement


@dataclass(frozen=True, slots=True)
class DrawText:
    """Terms of a draft of text, whose first tokens say committed text again (module ``healing``)."""

    redrawn_tokens: int = 0
    runners_up: int = 0
    """How many runners-up of the token that follows the draft are to be found."""


@dataclass(frozen=True, slots=True)
class Propose:
    """Terms of a request for one proposal, without a draft."""

    shape: ProposalShape
    position: NoisePosition | None = None
    """Where the draw's noise is read; None: where the sequence's history is."""


@dataclass(frozen=True, slots=True)
class Drawn(Judgement):
    """What was drawn, and how probable the model finds it."""

    confidences: tuple[float, ...] = ()
    """One for each token, by ``confidence.confidences_of``."""

    runners_up: tuple[RunnerUp, ...] = ()
    """Of the last token, if they were asked for and it follows the whole draft."""


@dataclass(frozen=True, slots=True)
class Proposed(Drawn):
    """The judgement of :class:`Propose`: the drafter's token to go on with, and what was drawn."""

    proposal: Proposal | None = None


def confidences(judgement: Judgement) -> tuple[float, ...]:
    """Of the drawn tokens.

    Raises:
        InternalError: it is not the judgement of a draft.
    """
    if not isinstance(judgement, Drawn):
        raise InternalError("a judgement without confidences")
    return judgement.confidences


def runners_up_of(judgement: Judgement) -> tuple[RunnerUp, ...]:
    """Of the last drawn token; none where none were found."""
    return judgement.runners_up if isinstance(judgement, Drawn) else ()


def proposal_of(judgement: Judgement) -> Proposal:
    """What was drawn.

    Raises:
        InternalError: the request did not ask for a proposal.
    """
    if not isinstance(judgement, Proposed) or judgement.proposal is None:
        raise InternalError("a judgement without a proposal")
    return judgement.proposal


class DraftJudge:
    """Draws for all sequences of a step; satisfies ``engine.judging.Judge``."""

    def __init__(self, sampler: Sampler, healing: Healing, proposals: ProposalSampler) -> None:
        """Draw texts with ``sampler``, what is redrawn by ``healing``, and proposals with ``proposals``."""
        self._sampler = sampler
        self._healing = healing
        self._proposals = proposals

    def judge(
        self,
        logits: Tensor,  # [rows, vocab]: 1 + len(draft) rows of each case; rows of redrawn tokens are overwritten
        cases: Sequence[Case],
    ) -> list[Judgement]:
        """One judgement for each case."""
        ends = list(accumulate(1 + len(case.draft) for case in cases))
        spans = [range(end - 1 - len(case.draft), end) for case, end in zip(cases, ends, strict=True)]
        asked = [isinstance(case.terms, Propose) for case in cases]
        others = list(map(not_, asked))
        proposed = iter(self._propose(logits, list(compress(cases, asked)), list(compress(spans, asked))))
        matched = iter(self._match(logits, list(compress(cases, others)), list(compress(spans, others))))
        return [next(proposed if is_asked else matched) for is_asked in asked]

    def _propose(self, logits: Tensor, cases: Sequence[Case], spans: Sequence[range]) -> list[Proposed]:
        terms = [case.terms for case in cases if isinstance(case.terms, Propose)]
        if not terms:
            return []
        rows = [_row(case, own) for case, own in zip(cases, terms, strict=True)]
        chosen = logits[[span[-1] for span in spans]]
        proposals = self._proposals.propose(chosen, rows, [own.shape for own in terms])
        tokens = [(proposal.token,) for proposal in proposals]
        confidences = confidences_of(chosen, [row.sampling.temperature for row in rows], tokens)
        return [
            Proposed(0, (proposal.token,), confidences=tuple(own), proposal=proposal)
            for proposal, own in zip(proposals, confidences, strict=True)
        ]

    def _match(self, logits: Tensor, cases: Sequence[Case], spans: Sequence[range]) -> list[Drawn]:
        if not cases:
            return []
        terms = [case.terms if isinstance(case.terms, DrawText) else DrawText() for case in cases]
        for case, span, own in zip(cases, spans, terms, strict=True):
            if count := own.redrawn_tokens:
                self._healing.decide(logits[span.start : span.start + count], case.draft[:count])
        places = [place for span in spans for place in span]
        chosen = logits if len(places) == len(logits) else logits[places]
        rows = [row for case in cases for row in case.history.rows(case.draft)]
        draws = self._sampler.draw(chosen, rows, ranks=1 + max(own.runners_up for own in terms))
        likely = confidences_of(chosen, [row.sampling.temperature for row in rows], draws.ranks)
        ranked = [list(zip(*own, strict=True)) for own in zip(draws.ranks, likely, strict=True)]
        ends = accumulate(map(len, spans))
        return [
            _drawn(case.draft, ranked[end - len(span) : end], own.runners_up)
            for case, span, own, end in zip(cases, spans, terms, ends, strict=True)
        ]


def draft_judge(table: TokenTable, vocab_rows: int, device: torch.device | str) -> DraftJudge:
    """The judge of a drafter with this vocabulary, whose logits have ``vocab_rows`` columns."""
    sampler = Sampler(table, device, vocab_rows)
    proposals = ProposalSampler(sampler, min(len(table), vocab_rows))
    return DraftJudge(sampler, Healing(table, vocab_rows), proposals)


def _drawn(
    draft: Sequence[int],
    ranked: Sequence[Sequence[tuple[int, float]]],  # by row: the drawn token and its confidence, and those next to it
    runners_up: int,
) -> Drawn:
    """What is drawn once the draft is judged; the runners-up of the token that follows all of it."""
    acceptance = accept(draft, [own[0][0] for own in ranked])
    count = len(acceptance.tokens)
    return Drawn(
        acceptance.accepted,
        acceptance.tokens,
        confidences=tuple(own[0][1] for own in ranked[:count]),
        runners_up=tuple(RunnerUp(*one) for one in ranked[-1][1 : 1 + runners_up]) if count == len(ranked) else (),
    )


def _row(case: Case, terms: Propose) -> DrawRow:
    row = case.history.rows(())[0]
    return row if terms.position is None else replace(row, position=terms.position)
