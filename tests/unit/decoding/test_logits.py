"""From logits to the processed distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from draftmesh.core.errors import InternalError
from draftmesh.core.sampling import NoiseKey, SamplingParams
from draftmesh.decoding.history import DrawRow, History
from draftmesh.decoding.logits import leading, processed_log_probs, processed_scores, supports, target_law
from tests.helpers.fakes_token_table import FakeTokenTable


def row(params: SamplingParams, tokens: int, prompt: Sequence[int] = (), output: Sequence[int] = ()) -> DrawRow:
    """A row after some prompt and output."""
    table = FakeTokenTable([bytes([i % 256, i // 256]) for i in range(tokens)])
    history = History(table, params, NoiseKey(bytes(16)), prompt)
    history.append(output)
    return history.rows([])[0]


def support_of(logits: list[float], params: SamplingParams) -> list[int]:
    """Ids with mass."""
    log_p = processed_log_probs(torch.tensor([logits]), [row(params, len(logits))])
    return torch.isfinite(log_p[0]).nonzero().flatten().tolist()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (SamplingParams(temperature=1.0, top_k=3), [1, 2, 3]),
        (SamplingParams(temperature=1.0, top_p=0.5), [1, 2, 3]),
        (SamplingParams(temperature=1.0, min_p=0.9), [1, 2, 3, 5, 6]),
        (SamplingParams(temperature=1.0, top_k=1), [1]),
        (SamplingParams(temperature=1.0, top_k=99), [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_cut_through_a_tie_keeps_the_lower_ids(params: SamplingParams, expected: list[int]) -> None:
    """Five of seven tokens tie; the cut takes them from the lowest id."""
    assert support_of([0.0, 1.0, 1.0, 1.0, -1.0, 1.0, 1.0], params) == expected


def test_top_p_keeps_the_token_that_reaches_the_mass() -> None:
    """The smallest set whose mass reaches top_p, with p = 0.5, 0.3, 0.2."""
    logits = [math.log(0.3), math.log(0.5), math.log(0.2)]
    kept = [support_of(logits, SamplingParams(temperature=1.0, top_p=top_p)) for top_p in (0.45, 0.6, 0.95)]
    assert kept == [[1], [0, 1], [0, 1, 2]]


def test_top_p_counts_the_mass_that_top_k_left() -> None:
    """After top-k = 2 the masses are 5/8 and 3/8, so 0.6 is reached by one token."""
    logits = [math.log(0.3), math.log(0.5), math.log(0.2)]
    assert support_of(logits, SamplingParams(temperature=1.0, top_k=2, top_p=0.6)) == [1]


def test_a_support_wider_than_the_first_look_is_found_whole() -> None:
    """A flat row of 20000 tokens needs more than the narrow look, and keeps exactly the mass asked for."""
    logits = torch.zeros(2, 20000)
    logits[1, 7] = 30.0
    params = SamplingParams(temperature=1.0, top_p=0.75)
    log_p = processed_log_probs(logits, [row(params, 20000)] * 2)
    assert torch.isfinite(log_p).sum(dim=-1).tolist() == [15000, 1]
    assert torch.isfinite(log_p[0, :15000]).all()


def test_supports_come_once_for_each_row() -> None:
    """Narrow and wide rows in one batch are each yielded once, under their own index."""
    scores = torch.zeros(3, 4000, dtype=torch.float64)
    scores[1, 1:] = -50.0
    params = [SamplingParams(temperature=1.0, top_p=0.9)] * 3
    found = [(indices, support.ids.shape[1]) for indices, support in supports(scores, params)]
    assert found == [([1], 512), ([0, 2], 4000)]


def test_the_leading_tokens_are_in_stable_order_whatever_ties_there_are() -> None:
    """Small integer scores tie often; value falls, then id rises, also at the edge of the width."""
    scores = torch.randint(0, 4, (6, 300), generator=torch.Generator().manual_seed(1)).double()
    for width in (1, 7, 150, 299, 300, 400):
        values, ids = leading(scores, width)
        expected = [[i for _, i in sorted((-score, i) for i, score in enumerate(r))][:width] for r in scores.tolist()]
        assert ids.tolist() == expected
        assert torch.equal(values, scores.gather(1, ids))


def test_the_input_is_never_edited() -> None:
    """Penalties, temperature and cuts work on a copy, also when the input is float64 already."""
    logits = torch.randn(2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    before = logits.clone()
    params = SamplingParams(temperature=0.5, top_k=5, repetition_penalty=2.0)
    processed_log_probs(logits, [row(params, 50, prompt=[1], output=[2])] * 2)
    assert torch.equal(logits, before)


def test_half_precision_logits_are_upcast() -> None:
    """bf16 logits give the distribution of their exact values."""
    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(2)).to(torch.bfloat16)
    rows = [row(SamplingParams(temperature=0.7, top_p=0.8), 50)]
    assert torch.equal(processed_log_probs(logits, rows), processed_log_probs(logits.double(), rows))


def test_a_tiny_temperature_is_the_limit_of_small_ones() -> None:
    """The smallest positive temperature leaves the argmax alone, not NaN."""
    assert support_of([1.0, 3.0, 2.0], SamplingParams(temperature=5e-324)) == [1]


def test_repetition_penalty_shrinks_positive_and_grows_negative_logits() -> None:
    """CTRL's penalty: divide above zero, multiply below, for tokens of the prompt and of the output."""
    params = SamplingParams(temperature=1.0, repetition_penalty=2.0)
    scores = processed_scores(torch.tensor([[4.0, -1.0, 3.0]]), [row(params, 3, prompt=[0], output=[1])])
    assert scores.tolist() == [[-1.0, -5.0, 0.0]]


def test_presence_and_frequency_penalties_see_the_output_alone() -> None:
    """Presence counts once, frequency each time, and the prompt not at all."""
    params = SamplingParams(temperature=1.0, presence_penalty=0.5, frequency_penalty=0.25)
    scores = processed_scores(torch.zeros(1, 3), [row(params, 3, prompt=[0], output=[1, 2, 2])])
    assert scores.tolist() == [[0.0, -0.75, -1.0]]


def test_penalties_pass_over_tokens_that_the_model_has_no_row_for() -> None:
    """A draft may name any token of the vocabulary, and a model's head may be shorter."""
    params = SamplingParams(temperature=1.0, presence_penalty=0.5)
    scores = processed_scores(torch.zeros(1, 3), [row(params, 9, output=[1, 7])])
    assert scores.tolist() == [[0.0, -0.5, 0.0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(bad: float) -> None:
    """No token is drawn from a distribution that does not exist."""
    with pytest.raises(InternalError, match="not finite"):
        processed_scores(torch.tensor([[0.0, bad, 1.0]]), [row(SamplingParams(temperature=1.0), 3)])


def test_a_masked_token_has_no_mass() -> None:
    """A logit of minus infinity is a token that is never drawn."""
    assert support_of([0.0, float("-inf"), 1.0], SamplingParams(temperature=1.0)) == [0, 2]


def test_ties_at_the_floor_cost_no_sort_and_change_nothing_above_it() -> None:
    """Whoever drops what lies at the floor sees the same tokens with and without it."""
    scores = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0, 0.2], [0.3, 0.3, 0.3, 0.0, 0.0, 0.0]])
    for width in (1, 2, 4):
        values, ids = leading(scores, width, floor=0.0)
        expected = leading(scores, width)
        assert values.tolist() == expected[0].tolist()
        assert ids[values > 0.0].tolist() == expected[1][values > 0.0].tolist()


def test_the_law_of_a_greedy_row_is_certain() -> None:
    """The lowest id among the largest penalised logits, beside rows that have a temperature and rows that are cut."""
    rows = [
        row(SamplingParams(), 4),
        row(SamplingParams(temperature=1.0), 4),
        row(SamplingParams(presence_penalty=5.0), 4, output=[1]),
        row(SamplingParams(temperature=1.0, top_k=1), 4),
    ]
    law = target_law(torch.tensor([[0.0, 2.0, 2.0, 1.0]] * 4), rows)
    assert law[0].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert law[2].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert law[3].tolist() == [0.0, 1.0, 0.0, 0.0]
    torch.testing.assert_close(law[1], torch.softmax(torch.tensor([0.0, 2.0, 2.0, 1.0]).double(), 0))


def test_a_greedy_law_tells_logits_apart_that_probabilities_do_not() -> None:
    """Probabilities that are equal in float64 may come from logits that are not."""
    (law,) = target_law(torch.tensor([[0.0, 1e-20, -1e-20]]), [row(SamplingParams(), 3)])
    assert law.tolist() == [0.0, 1.0, 0.0]
