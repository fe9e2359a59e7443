"""What toy drafters have in common: a model that is a table, and the product's proposals from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from draftmesh.core.sampling import SamplingParams
from draftmesh.core.text import TERMINAL_ROLES, Item
from draftmesh.decoding.history import DrawRow, History
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.proposal import Proposal, ProposalSampler, ProposalShape
from draftmesh.decoding.sampler import Sampler
from draftmesh.drafter.confidence import confidences_of
from tests.helpers.toy_language import ToyModel

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Drawing:
    """Where one token of a drafter is to be drawn: its own ids so far, and the noise."""

    path: tuple[int, ...]
    position: NoisePosition


@dataclass(frozen=True)
class ToyProposals:
    """A drafter's model and its sampling."""

    model: ToyModel
    sampling: SamplingParams

    @cached_property
    def sampler(self) -> Sampler:
        """Its processed distributions."""
        return Sampler(self.model.vocabulary, "cpu", self.model.head_rows)

    @cached_property
    def proposals(self) -> ProposalSampler:
        """The product's."""
        return ProposalSampler(self.sampler, len(self.model.vocabulary))

    def rows(self, drawings: Sequence[Drawing]) -> list[DrawRow]:
        """The rows of draws."""
        return [self._row(drawing) for drawing in drawings]

    def propose(self, drawings: Sequence[Drawing], shapes: Sequence[ProposalShape]) -> list[Proposal]:
        """One proposal for each drawing."""
        logits = self.model.logits([drawing.path for drawing in drawings])
        return self.proposals.propose(logits, self.rows(drawings), shapes)

    def confidences(self, drawings: Sequence[Drawing], proposals: Sequence[Proposal]) -> list[float]:
        """How sure the drafter is of each."""
        logits = self.model.logits([drawing.path for drawing in drawings])
        temperatures = [self.sampling.temperature] * len(drawings)
        found = confidences_of(logits, temperatures, [(proposal.token,) for proposal in proposals])
        return [own[0] for own in found]

    def encode(self, tokens: Sequence[int], target: ToyModel) -> tuple[int, ...]:
        """The drafter's ids of a committed text."""
        return tuple(self.model.encoder.encode_bytes(target.vocabulary.join(tokens)))

    def _row(self, drawing: Drawing) -> DrawRow:
        if not self.sampling.has_penalties:
            return DrawRow(self.sampling, drawing.position)
        history = History(self.model.vocabulary, self.sampling, drawing.position.key, self.model.prompt)
        history.append(drawing.path)
        return replace(history.rows([])[0], position=drawing.position)


def has_ended(items: Sequence[Item]) -> bool:
    """Whether a draft ends the text."""
    return bool(items) and items[-1] in TERMINAL_ROLES
