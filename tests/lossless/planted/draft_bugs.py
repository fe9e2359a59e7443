"""Drafters that say something else of their draws than what they drew from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor

from draftmesh.core.draft import Block
from draftmesh.core.evidence import ProposalEvidence, SparseDistribution
from draftmesh.decoding.history import DrawRow
from draftmesh.decoding.proposal import Proposal, ProposalSampler, ProposalShape
from draftmesh.drafter.chain import Chain
from tests.lossless.planted.planting import Plant, replaced

Propose = Callable[[ProposalSampler, Tensor, Sequence[DrawRow], Sequence[ProposalShape]], list[Proposal]]
_propose: Propose = ProposalSampler.propose
_take_block = Chain.take_block


def _draft_the_argmax(
    sampler: ProposalSampler, logits: Tensor, rows: Sequence[DrawRow], shapes: Sequence[ProposalShape]
) -> list[Proposal]:
    """The likeliest token is proposed, and the distribution reported."""
    return [
        _choosing(proposal, shape, max(_pairs(proposal), key=lambda pair: pair[1])[0])
        for proposal, shape in zip(_propose(sampler, logits, rows, shapes), shapes, strict=True)
    ]


def _report_without_temperature(
    sampler: ProposalSampler, logits: Tensor, rows: Sequence[DrawRow], shapes: Sequence[ProposalShape]
) -> list[Proposal]:
    """What is drawn has the sampling's temperature, what is reported has 1."""
    unheated = [replace(row, sampling=replace(row.sampling, temperature=1.0)) for row in rows]
    reported = _propose(sampler, logits, unheated, shapes)
    drawn = _propose(sampler, logits, rows, shapes)
    return [replace(one, distribution=other.distribution) for one, other in zip(drawn, reported, strict=True)]


def _report_edited_probabilities(
    sampler: ProposalSampler, logits: Tensor, rows: Sequence[DrawRow], shapes: Sequence[ProposalShape]
) -> list[Proposal]:
    """The buffer that was drawn from is edited before it is reported: what was drawn has lost most of its weight."""
    return [_edited(proposal) for proposal in _propose(sampler, logits, rows, shapes)]


def _edited(proposal: Proposal) -> Proposal:
    weights = {token: weight * (0.1 if token == proposal.choice else 1.0) for token, weight in _pairs(proposal)}
    total = math.fsum(weights.values())
    reported = SparseDistribution(tuple(weights), tuple(weight / total for weight in weights.values()))
    return replace(proposal, distribution=reported)


def _leave_out_unsure_tokens(chain: Chain, *, paused: bool) -> Block:
    """The token after which drafting pauses is not sent: whether it is judged depends on what it says."""
    block = _take_block(chain, paused=paused)
    if chain.room or not isinstance(block.evidence, ProposalEvidence):
        return block
    kept = len(block.items) - 1
    return replace(
        block,
        items=block.items[:kept],
        target_ids=block.target_ids[:kept],
        evidence=block.evidence.part(0, kept),
    )


def _pairs(proposal: Proposal) -> list[tuple[int, float]]:
    assert proposal.distribution is not None
    return list(zip(proposal.distribution.ids, proposal.distribution.weights, strict=True))


def _choosing(proposal: Proposal, shape: ProposalShape, choice: int) -> Proposal:
    return replace(proposal, choice=choice, token=shape.choices.tokens[shape.choices.ids.index(choice)])


def _proposing(propose: Propose) -> Plant:
    return partial(replaced, ProposalSampler, "propose", propose)


drafts_the_argmax = _proposing(_draft_the_argmax)
"""q reported is not the q sampled."""

reports_without_temperature = _proposing(_report_without_temperature)
"""The draft's temperature is missing from q."""

reports_edited_probabilities = _proposing(_report_edited_probabilities)
"""A drafter's probabilities are edited in place."""

leaves_out_unsure_tokens = partial(replaced, Chain, "take_block", _leave_out_unsure_tokens)
"""What a token says decides whether it is judged."""
