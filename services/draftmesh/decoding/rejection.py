"""The test of ``tli`` and ``rejection``: rejection sampling against the drafter's true proposal.

A draft token d drawn from q′ is accepted with probability min(1, p(d) / q′(d)); after a rejection the token comes from
the residual, max(0, p - q′) normalised (Leviathan et al., arXiv 2211.17192; Chen et al., arXiv 2302.01318; with q′ on
the intersection of two vocabularies, TLI of Timor et al., ICML 2025, Algorithm 4). p is the whole processed
distribution, never cut to the intersection. ``LOSSLESS.md`` has the proof.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from draftmesh.core.evidence import SparseDistribution
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.streams import Stream, stream_key, uniform_at


def accept_position(position: NoisePosition, trial: int = 0) -> NoisePosition:
    """Where the accept test at ``position`` takes its uniform number from; trials of a lazy residual count from 1."""
    return _under(position, Stream.ACCEPT, trial)


def residual_position(position: NoisePosition, trial: int = 0) -> NoisePosition:
    """Where the residual, bonus or free draw at ``position`` takes its noise from; trials count from 1."""
    return _under(position, Stream.RESIDUAL, trial)


def accepted_tokens(
    draft: Sequence[int],
    target: Sequence[float],
    proposal: Sequence[float],
    positions: Sequence[NoisePosition],
) -> int:
    """How many leading draft tokens pass the test ``u < p / q``.

    Args:
        draft: k draft tokens.
        target: p of each, 0 for one that the target cannot say.
        proposal: The probability, above 0, with which each was proposed: q′, or ψ given the tokens before it.
        positions: Of each draw.
    """
    for index in range(len(draft)):
        uniform = uniform_at(accept_position(positions[index]))
        if not uniform * proposal[index] < target[index]:
            return index
    return len(draft)


def residual_weights(
    target: Tensor,  # [rows, tokens], float64: p
    proposals: Sequence[SparseDistribution | None],
) -> Tensor:
    """max(0, p - q′) of each row, float64 [rows, tokens], not normalised; p itself where there is no q′.

    Where rounding leaves no mass at all p and q′ are equal to the last bits, a rejection had a chance of about 1e-16,
    and p itself is as good. ``target`` stays as it is.
    """
    rows, ids, values = [], [], []
    for row, proposal in enumerate(proposals):
        if proposal is not None:
            total = math.fsum(proposal.weights)
            known = [(i, w) for i, w in zip(proposal.ids, proposal.weights, strict=True) if i < target.shape[-1]]
            rows += [row] * len(known)
            ids += [token for token, _ in known]
            values += [-weight / total for _, weight in known]
    index = torch.tensor([rows, ids], dtype=torch.int64, device=target.device)
    change = torch.tensor(values, dtype=torch.float64, device=target.device)
    rest = target.index_put((index[0], index[1]), change, accumulate=True).clamp_(min=0.0)
    return rest.where(rest.any(dim=-1, keepdim=True), target)


def _under(position: NoisePosition, stream: Stream, index: int) -> NoisePosition:
    return NoisePosition(stream_key(position.key, stream, index), position.offset, position.zero_byte_tokens)
