"""Rejection sampling against a reported proposal: the test and the residual."""

from __future__ import annotations

import pytest
import torch

from draftmesh.core.evidence import SparseDistribution
from draftmesh.core.sampling import NoiseKey
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.rejection import accept_position, accepted_tokens, residual_position, residual_weights
from draftmesh.decoding.streams import uniform_at

POSITIONS = [NoisePosition(NoiseKey(bytes([7] * 16)), offset, 0) for offset in range(4)]
P = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)


def test_a_token_passes_while_its_uniform_number_is_below_the_ratio() -> None:
    """On both sides of the very number that the test draws."""
    uniform = uniform_at(accept_position(POSITIONS[0]))
    assert accepted_tokens([1], [uniform * 0.5 * (1 + 1e-9)], [0.5], POSITIONS) == 1
    assert accepted_tokens([1], [uniform * 0.5 * (1 - 1e-9)], [0.5], POSITIONS) == 0


def test_likelier_than_proposed_always_passes() -> None:
    """Also at probability 1 on both sides, as at temperature 0."""
    assert accepted_tokens([1, 2, 3], [0.2, 0.9, 1.0], [0.2, 0.1, 1.0], POSITIONS) == 3


def test_a_token_that_the_target_cannot_say_is_a_rejection() -> None:
    """And nothing after it counts."""
    assert accepted_tokens([1, 2, 3], [1.0, 0.0, 1.0], [0.5, 1e-12, 0.5], POSITIONS) == 1


def test_no_two_draws_share_a_position() -> None:
    """Tests, residuals, their trials, and the positions of the session itself."""
    used = [accept_position(POSITIONS[0], trial) for trial in range(3)]
    used += [residual_position(POSITIONS[0], trial) for trial in range(3)]
    assert len({position.words() for position in (*used, *POSITIONS)}) == 10


def test_residual_is_what_p_has_more_than_the_proposal() -> None:
    """Divided by the proposal's own sum, in float64; rows without a proposal stay p."""
    proposal = SparseDistribution((1, 0), (0.25, 0.125))  # the proposal is (1/3, 2/3)
    weights = residual_weights(P[[0, 0]], [proposal, None])
    expected = torch.tensor([[0.5 - 1 / 3, 0.0, 0.25, 0.0], [0.5, 0.25, 0.25, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(weights, expected, rtol=1e-15, atol=0.0)


def test_ids_beyond_the_rows_are_no_part_of_a_residual() -> None:
    """They were proposed with a probability that is lost to the others."""
    weights = residual_weights(P[:1], [SparseDistribution((9, 0), (0.5, 0.5))])
    assert weights.tolist() == [[0.0, 0.25, 0.25, 0.0]]


def test_residual_without_mass_is_p() -> None:
    """Only rounding can reject a token of the very law p."""
    assert residual_weights(P[1:], [SparseDistribution((3,), (1.0,))]).tolist() == P[1:].tolist()


@pytest.mark.parametrize("rows", [0, 2])
def test_the_target_is_not_edited(rows: int) -> None:
    """The same row may be needed again; no rows at all are fine."""
    target = P[:rows].clone()
    residual_weights(target, [SparseDistribution((0, 3), (0.5, 0.5))] * rows)
    assert target.tolist() == P[:rows].tolist()
