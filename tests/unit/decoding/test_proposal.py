"""Proposals: what is reported is what was drawn from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from draftmesh.core.sampling import SamplingParams
from draftmesh.core.text import Role
from draftmesh.decoding.history import DrawRow, History
from draftmesh.decoding.noise_key import mint_noise_key
from draftmesh.decoding.proposal import Proposal, ProposalSampler, ProposalShape, own_choices, shared_choices
from draftmesh.decoding.sampler import Sampler
from draftmesh.tokenization.intersection import intersect
from tests.helpers.chi_square import chi_square_p_value
from tests.helpers.fakes_token_table import FakeTokenTable
from tests.helpers.reference_decoding import reference_distribution

CPU = torch.device("cpu")
TARGET = FakeTokenTable([b"x", b"a", b"b", b"a", Role.EOS, b"c", None])
DRAFTER = FakeTokenTable([b"b", b"a", b"zz", b"a", Role.EOS, b"c", Role.BOS])
ROWS = len(DRAFTER)
LOGITS = [0.3, 1.0, 2.5, 0.7, -0.4, -1.0, 4.0]
SHARED = intersect(TARGET, DRAFTER)  # target ids 1, 2, 4, 5
CHOICES = shared_choices(TARGET, SHARED.target_ids, SHARED.drafter_ids, ROWS, CPU)
OWN = own_choices(DRAFTER, ROWS, CPU)
HOT = SamplingParams(temperature=1.0)


def row(params: SamplingParams, seed: int = 0, output: tuple[int, ...] = ()) -> DrawRow:
    """The next draw of a drafter's sequence."""
    history = History(DRAFTER, params, mint_noise_key(seed, [1]), [1])
    history.append(output)
    return history.rows([])[0]


def propose(shape: ProposalShape, rows: list[DrawRow], logits: list[float] = LOGITS) -> list[Proposal]:
    """One proposal a row, of the same logits."""
    sampler = ProposalSampler(Sampler(DRAFTER, "cpu", ROWS), ROWS)
    return sampler.propose(torch.tensor([logits] * len(rows)), rows, [shape] * len(rows))


def law(shape: ProposalShape, params: SamplingParams, output: tuple[int, ...] = ()) -> dict[int, float]:
    """The distribution that is reported."""
    (proposal,) = propose(shape, [row(params, output=output)])
    assert proposal.distribution is not None
    return dict(zip(proposal.distribution.ids, proposal.distribution.weights, strict=True))


def shared_law(params: SamplingParams, output: tuple[int, ...] = ()) -> dict[int, float]:
    """The same from the definitions: restricted, processed, masses of equal bytes added up."""
    restricted = [value if token in (0, 1, 3, 4, 5) else -1e30 for token, value in enumerate(LOGITS)]
    q = reference_distribution(restricted, params, [1], output)
    masses = {1: q[1] + q[3], 2: q[0], 4: q[4], 5: q[5]}
    return {target: mass for target, mass in masses.items() if mass > 0.0}


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(),
        HOT,
        SamplingParams(temperature=0.3),
        SamplingParams(temperature=1.0, top_k=3),
        SamplingParams(temperature=1.0, top_p=0.7),
        SamplingParams(temperature=1.0, min_p=0.3),
        SamplingParams(temperature=1.5, repetition_penalty=1.7, presence_penalty=0.4, frequency_penalty=0.2),
    ],
)
def test_shared_law_is_the_drafters_on_the_intersection(params: SamplingParams) -> None:
    """Ids with equal bytes are one choice with the sum of their masses; what is not shared has none."""
    found, expected = law(ProposalShape(CHOICES, 64), params, (0, 0, 3)), shared_law(params, (0, 0, 3))
    assert found.keys() == expected.keys()
    for token, mass in expected.items():
        assert math.isclose(found[token], mass, rel_tol=1e-6)


def test_weights_are_single_precision_numbers() -> None:
    """So that the wire changes nothing."""
    weights = law(ProposalShape(CHOICES, 64), HOT).values()
    assert [float(np.float32(weight)) for weight in weights] == list(weights)


def test_support_keeps_the_likeliest_and_renormalises() -> None:
    """The rest has no chance to be proposed."""
    found = law(ProposalShape(CHOICES, 2), HOT)
    expected = shared_law(HOT)
    assert list(found) == [1, 2]
    assert math.isclose(found[1], expected[1] / (expected[1] + expected[2]), rel_tol=1e-6)


def test_equal_masses_are_kept_from_the_lowest_id() -> None:
    """A cut through a tie is the same everywhere."""
    (proposal,) = propose(ProposalShape(OWN, 3), [row(HOT)], [1.0] * ROWS)
    assert proposal.distribution is not None
    assert proposal.distribution.ids == (0, 1, 2)


def test_draws_have_the_reported_law() -> None:
    """Duplicates are drawn with the sum of their masses, truncated tokens never."""
    shape = ProposalShape(CHOICES, 3)
    proposals = propose(shape, [row(HOT, seed) for seed in range(8000)])
    reported = law(shape, HOT)
    counts = [sum(proposal.choice == token for proposal in proposals) for token in reported]
    assert sum(counts) == len(proposals)
    assert chi_square_p_value(counts, np.array(list(reported.values())) / math.fsum(reported.values())) > 1e-3


def test_the_drafter_goes_on_with_its_own_token() -> None:
    """Of several with the same bytes, the one to write."""
    tokens = {
        proposal.choice: proposal.token
        for proposal in propose(ProposalShape(CHOICES, 64), [row(HOT, seed) for seed in range(300)])
    }
    assert tokens == {1: 1, 2: 0, 4: 4, 5: 5}


def test_own_choices_leave_out_what_stands_for_nothing() -> None:
    """A role that ends no text cannot be said to a target; the likeliest logit here is such a one."""
    assert OWN.ids == (0, 1, 2, 3, 4, 5)
    assert set(law(ProposalShape(OWN, 64), HOT)) == {0, 1, 2, 3, 4, 5}


def test_tokens_that_may_not_follow_are_left_out_of_the_support() -> None:
    """After the cut, so that whoever asks does so for a few tokens only; the rest is renormalised."""
    asked: list[int] = []

    def follows(token: int) -> bool:
        asked.append(token)
        return token in (1, 3)

    found = law(ProposalShape(OWN, 3, follows), HOT)
    assert set(asked) == {1, 2, 3}
    assert set(found) == {1, 3}
    assert math.isclose(found[1] / found[3], math.exp(0.3), rel_tol=1e-6)


def test_where_no_token_may_follow_all_may() -> None:
    """A draft must go on."""
    assert law(ProposalShape(OWN, 3, {99}.__contains__), HOT) == law(ProposalShape(OWN, 3), HOT)


def test_without_a_support_all_are_drawn_with_the_targets_keys() -> None:
    """``tli-exact``: the target, with the same law, draws the same token from the same noise."""
    rows = [row(HOT, seed) for seed in range(50)]
    proposals = propose(ProposalShape(CHOICES, None), rows)
    mass = shared_law(HOT)
    logits = torch.tensor([[math.log(mass[token]) if token in mass else -1e9 for token in range(len(TARGET))]] * 50)
    assert [proposal.choice for proposal in proposals] == Sampler(TARGET, "cpu", len(TARGET)).draw(logits, rows).ids
    assert all(proposal.distribution is None for proposal in proposals)


def test_rows_of_different_shapes_share_a_batch() -> None:
    """Each row is what it is alone, in order; the logits stay as they are."""
    shapes = [ProposalShape(CHOICES, 2), ProposalShape(OWN, 3), ProposalShape(CHOICES, None), ProposalShape(CHOICES, 2)]
    rows = [row(SamplingParams(temperature=1.0 + seed), seed) for seed in range(4)]
    logits = torch.tensor([LOGITS] * 4)
    batch = ProposalSampler(Sampler(DRAFTER, "cpu", ROWS), ROWS).propose(logits, rows, shapes)
    assert batch == [propose(shape, [own])[0] for shape, own in zip(shapes, rows, strict=True)]
    assert logits.tolist() == torch.tensor([LOGITS] * 4).tolist()


def test_padding_is_never_proposed() -> None:
    """Columns beyond the vocabulary are not tokens, whatever their logits."""
    padded = torch.tensor([[*LOGITS, 99.0]])
    sampler = ProposalSampler(Sampler(DRAFTER, "cpu", ROWS + 1), ROWS)
    assert sampler.propose(padded, [row(HOT)], [ProposalShape(OWN, 4)]) == propose(ProposalShape(OWN, 4), [row(HOT)])


def test_choices_have_a_length() -> None:
    """The number of things that can be proposed."""
    assert (len(CHOICES), len(OWN)) == (4, 6)
