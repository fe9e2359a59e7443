"""The lazy residual, driven by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from draftmesh.core.errors import InvalidRequestError
from draftmesh.core.sampling import NoiseKey
from draftmesh.core.verify import TokenLogprobs
from draftmesh.decoding.noise_key import NoisePosition, mint_noise_key
from draftmesh.decoding.sampler import Sampler
from draftmesh.decoding.string_rejection import LazyResidual, Recovered
from tests.helpers.chi_square import chi_square_p_value
from tests.helpers.fakes_token_table import FakeTokenTable

TABLE = FakeTokenTable([b"a", b"b", b"c", b"d", b"a", b"e"])
SAMPLER = Sampler(TABLE, "cpu", len(TABLE))
P = torch.tensor([0.4, 0.25, 0.2, 0.1, 0.05, 0.0], dtype=torch.float64)


def residual(key: NoiseKey, target: torch.Tensor = P) -> LazyResidual:
    """A residual at the start of a text."""
    return LazyResidual(target, NoisePosition(key, 0, 0), SAMPLER.draw_from, lambda token: TokenLogprobs(float(token)))


def finish(asked: LazyResidual, psi: Sequence[float]) -> tuple[Recovered, list[tuple[int, ...]]]:
    """Answer until a token is kept; the token, and the questions."""
    questions = []
    while True:
        questions.append(asked.ids)
        recovered = asked.answer([psi[token] for token in asked.ids])
        if recovered is not None:
            return recovered, questions


def test_recovered_tokens_have_the_law_of_the_residual() -> None:
    """max(0, p - ψ) normalised, whatever was asked before."""
    psi = [0.3, 0.3, 0.0, 0.12, 0.02, 0.1]
    counts = np.zeros(len(TABLE))
    for seed in range(3000):
        counts[finish(residual(mint_noise_key(seed, [0])), psi)[0].token] += 1
    law = np.maximum(0.0, P.numpy() - psi)
    assert chi_square_p_value(counts, law / law.sum()) > 1e-3


def test_nearly_equal_laws_end_soon() -> None:
    """With a residual of mass 1e-9, as many questions at most as p has tokens, and no token twice."""
    psi = [0.4, 0.25, 0.2, 0.1 - 1e-9, 0.05, 0.0]
    for seed in range(100):
        recovered, questions = finish(residual(mint_noise_key(seed, [0])), psi)
        assert recovered.token == 3
        asked = [token for ids in questions for token in ids]
        assert len(asked) == len(set(asked)) <= 5


def test_a_residual_without_mass_ends_with_a_token_of_p() -> None:
    """Rounding may leave none: ψ a little above p everywhere."""
    psi = [float(value) + 1e-17 for value in P]
    tokens = {finish(residual(mint_noise_key(seed, [0])), psi)[0].token for seed in range(30)}
    assert tokens <= {0, 1, 2, 3, 4}
    assert len(tokens) > 1


def test_a_certain_target_asks_once() -> None:
    """At temperature 0 there is one token to ask for, and it is said, whatever its ψ."""
    certain = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    for seed in range(20):
        recovered, questions = finish(residual(mint_noise_key(seed, [0]), certain), [1.0 - 1e-12] * 6)
        assert (recovered.token, questions) == (2, [(2,)])


def test_a_token_without_psi_is_kept_at_once() -> None:
    """What the drafter never says is always the target's own."""
    asked = residual(mint_noise_key(5, [0]))
    first = asked.ids[0]
    assert asked.answer([0.0] * len(asked.ids)) == Recovered(first, TokenLogprobs(float(first)))


def test_questions_are_the_same_for_the_same_key() -> None:
    """A verifier that draws again asks again."""
    key = mint_noise_key(1, [0])
    psi = [0.4, 0.2, 0.2, 0.1, 0.05, 0.0]
    assert finish(residual(key), psi) == finish(residual(key), psi)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(value: float) -> None:
    """It would be kept always, or never."""
    asked = residual(mint_noise_key(1, [0]))
    with pytest.raises(InvalidRequestError):
        asked.answer([value] * len(asked.ids))


def test_one_value_for_each_id_is_expected() -> None:
    """More or fewer mean another question."""
    asked = residual(mint_noise_key(1, [0]))
    with pytest.raises(InvalidRequestError):
        asked.answer([0.5] * (len(asked.ids) + 1))


def test_the_target_is_not_edited() -> None:
    """The law belongs to the caller."""
    target = P.clone()
    finish(residual(mint_noise_key(2, [0]), target), [0.4, 0.25, 0.2, 0.0, 0.05, 0.0])
    assert target.tolist() == P.tolist()
