"""What a drafter draws for methods whose proposals have a known law: ``tli``, ``rejection``, ``tli-exact``, ``slrs``.

The proposal *is* what comes out here, weight by weight: the drafter's processed distribution of the tokens that can be
proposed, with the masses of tokens that are one target token added up, cut to the likeliest, and rounded to single
precision before anything is drawn. So what is reported is what was sampled, and nothing about it is approximate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from draftmesh.core.evidence import SparseDistribution
from draftmesh.core.protocols import TokenTable
from draftmesh.core.text import TERMINAL_ROLES
from draftmesh.decoding.history import DrawRow
from draftmesh.decoding.logits import leading
from draftmesh.decoding.noise import add_gumbel, key_tensor, word_tensor
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.sampler import Sampler


class Choices:
    """The tokens that a drafter may propose: its own as they are, or the target's that it shares.

    A *choice* is one thing that can be proposed; several drafter tokens may be the same choice.
    """

    def __init__(
        self,
        ids: Sequence[int],
        drafter_ids: Sequence[Sequence[int]],
        keys: Tensor,  # [choices], int64
        drafter_rows: int,
    ) -> None:
        """Index the choices.

        Args:
            ids: What each choice is called in a distribution.
            drafter_ids: The drafter's tokens of each choice, the one to go on with first.
            keys: ``key(t)`` of each choice, for its noise.
            drafter_rows: Tokens of the drafter.
        """
        device = keys.device
        self.ids = tuple(ids)
        self.tokens = tuple(own[0] for own in drafter_ids)
        self.keys = keys
        pairs = [(token, choice) for choice, own in enumerate(drafter_ids) for token in own]
        self._members = torch.tensor([token for token, _ in pairs], dtype=torch.int64, device=device)
        self._choice_of = torch.tensor([choice for _, choice in pairs], dtype=torch.int64, device=device)
        self._barred = torch.ones(drafter_rows, dtype=torch.bool, device=device)
        self._barred[self._members] = False

    def __len__(self) -> int:
        """Number of choices."""
        return len(self.ids)

    def restrict(
        self,
        logits: Tensor,  # [rows, drafter tokens]; not changed
    ) -> Tensor:
        """The same logits with tokens that are no choice made impossible."""
        return logits.masked_fill(self._barred, float("-inf"))

    def masses(
        self,
        law: Tensor,  # [rows, drafter tokens], float64
    ) -> Tensor:
        """The probability of each choice, float64 [rows, choices]."""
        masses = law.new_zeros(law.shape[0], len(self))
        return masses.index_add_(1, self._choice_of, law[:, self._members])


def own_choices(drafter: TokenTable, drafter_rows: int, device: torch.device) -> Choices:
    """Every token of the drafter that stands for text or ends it."""
    ids = [
        token
        for token in range(min(len(drafter), drafter_rows))
        if drafter.token_bytes(token) or drafter.role(token) in TERMINAL_ROLES
    ]
    return Choices(ids, [(token,) for token in ids], key_tensor(drafter, device)[ids], min(len(drafter), drafter_rows))


def shared_choices(
    target: TokenTable,
    target_ids: Sequence[int],
    drafter_ids: Sequence[Sequence[int]],
    drafter_rows: int,
    device: torch.device,
) -> Choices:
    """The target tokens that the drafter shares (``tokenization.intersection``), with the target's noise keys."""
    return Choices(target_ids, drafter_ids, key_tensor(target, device)[list(target_ids)], drafter_rows)


@dataclass(frozen=True, slots=True, eq=False)
class ProposalShape:
    """How one sequence's proposals are made."""

    choices: Choices
    support: int | None
    """Choices of a proposal at most, the likeliest; None: all, and no distribution is reported (``tli-exact``)."""

    follows: Callable[[int], bool] | None = None
    """Whether a drafter token may follow the one before; where none of the support may, all may."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One draft token."""

    token: int
    """The drafter's token to go on with."""

    choice: int
    """What was drawn, by its name in the distribution: a target token, or the drafter's own."""

    distribution: SparseDistribution | None
    """Exactly what it was drawn from."""


class ProposalSampler:
    """Draws proposals from the logits of a drafter's model."""

    def __init__(self, sampler: Sampler, drafter_rows: int) -> None:
        """Use the processed distributions of ``sampler``; ``drafter_rows`` tokens of the model are tokens."""
        self._sampler = sampler
        self._rows = drafter_rows

    def propose(
        self,
        logits: Tensor,  # [rows, vocab_rows]; not changed
        rows: Sequence[DrawRow],
        shapes: Sequence[ProposalShape],
    ) -> list[Proposal]:
        """Draw one proposal for each row.

        Raises:
            InternalError: a row's largest logit is not finite.
        """
        proposals: dict[int, Proposal] = {}
        for indices in _alike(shapes, self._sampler.block_rows):
            found = self._propose_alike(logits[indices], [rows[i] for i in indices], [shapes[i] for i in indices])
            proposals.update(zip(indices, found, strict=True))
        return [proposals[index] for index in range(len(rows))]

    def _propose_alike(
        self, logits: Tensor, rows: Sequence[DrawRow], shapes: Sequence[ProposalShape]
    ) -> Iterable[Proposal]:
        choices, support = shapes[0].choices, shapes[0].support
        masses = choices.masses(self._sampler.law(choices.restrict(logits[:, : self._rows]), rows))
        positions = [row.position for row in rows]
        if support is None:
            drawn = _draw(masses, choices.keys, positions)
            return [Proposal(choices.tokens[index], choices.ids[index], None) for index in drawn]
        values, order = leading(masses, support, floor=0.0)
        weights = _rounded(values, order, shapes)
        drawn = _draw(weights, choices.keys[order], positions)
        picked = zip(weights, order, drawn, strict=True)
        return [_proposal(choices, weight, ids, index) for weight, ids, index in picked]


def _alike(shapes: Sequence[ProposalShape], block_rows: int) -> Iterator[list[int]]:
    """Indices of rows that can be worked on together, few enough for the work arrays."""
    groups: dict[tuple[int, int | None], list[int]] = {}
    for index, shape in enumerate(shapes):
        groups.setdefault((id(shape.choices), shape.support), []).append(index)
    for indices in groups.values():
        for start in range(0, len(indices), block_rows):
            yield indices[start : start + block_rows]


def _rounded(
    values: Tensor,  # [rows, width], float64
    order: Tensor,  # [rows, width]: index of each choice
    shapes: Sequence[ProposalShape],
) -> Tensor:
    """Weights of the choices that may follow, as single-precision numbers in float64, [rows, width]."""
    kept = values.clone()
    for row, shape in enumerate(shapes):
        if shape.follows is not None:
            tokens = [shape.choices.tokens[index] for index in order[row].tolist()]
            barred = torch.tensor([not shape.follows(token) for token in tokens], device=values.device)
            barred &= values[row] > 0.0
            rest = values[row].masked_fill(barred, 0.0)
            kept[row] = rest if bool(rest.any()) else values[row]
    return (kept / kept.sum(dim=-1, keepdim=True)).to(torch.float32).to(torch.float64)


def _draw(
    weights: Tensor,  # [rows, width], float64
    keys: Tensor,  # [width] or [rows, width], int64
    positions: Sequence[NoisePosition],
) -> list[int]:
    words = word_tensor(positions, weights.device)
    drawn: list[int] = add_gumbel(weights.log(), keys, words).argmax(dim=-1).tolist()
    return drawn


def _proposal(
    choices: Choices,
    weights: Tensor,  # [width], float64
    order: Tensor,  # [width]
    drawn: int,
) -> Proposal:
    indices, values = order.tolist(), weights.tolist()
    support = [(choices.ids[i], weight) for i, weight in zip(indices, values, strict=True) if weight > 0.0]
    chosen = indices[drawn]
    distribution = SparseDistribution(tuple(i for i, _ in support), tuple(w for _, w in support))
    return Proposal(choices.tokens[chosen], choices.ids[chosen], distribution)
