"""Draws for batches of rows."""

from __future__ import annotations

import math

import pytest
import torch

from draftmesh.core.errors import InternalError
from draftmesh.core.sampling import SamplingParams
from draftmesh.core.text import Role
from draftmesh.core.verify import TokenLogprobs
from draftmesh.decoding.history import DrawRow, History
from draftmesh.decoding.noise_key import mint_noise_key
from draftmesh.decoding.sampler import Sampler
from tests.helpers.fakes_token_table import FakeTokenTable
from tests.helpers.reference_decoding import reference_distribution

TABLE = FakeTokenTable([b"a", b"b", b"a", Role.EOS, None, b"cd"])
TOKENS = len(TABLE)
LOGITS = [0.5, 2.0, 1.0, -1.0, 2.0, 0.0]
PARAMS = [
    SamplingParams(),
    SamplingParams(temperature=1.0),
    SamplingParams(temperature=0.7, top_k=3),
    SamplingParams(temperature=1.3, top_p=0.8, repetition_penalty=1.5),
    SamplingParams(temperature=0.9, min_p=0.2, logprobs=2),
    SamplingParams(frequency_penalty=1.0, logprobs=0),
    SamplingParams(temperature=2.0, presence_penalty=0.5, logprobs=3),
]


def row(params: SamplingParams, seed: int = 0, output: tuple[int, ...] = ()) -> DrawRow:
    """The next row of a sequence."""
    history = History(TABLE, params, mint_noise_key(seed, [1]), [1])
    history.append(output)
    return history.rows([])[0]


def logprobs_of(params: SamplingParams, output: tuple[int, ...] = ()) -> tuple[int, TokenLogprobs]:
    """The drawn id and its log probabilities."""
    draws = Sampler(TABLE, "cpu", TOKENS).draw(torch.tensor([LOGITS]), [row(params, output=output)])
    assert draws.logprobs[0] is not None
    return draws.ids[0], draws.logprobs[0]


def test_greedy_takes_the_lowest_id_of_equals() -> None:
    """Ids 1 and 4 tie; 1 is drawn, with and without penalties."""
    rows = [row(SamplingParams()), row(SamplingParams(presence_penalty=1.0), output=(0,))]
    assert Sampler(TABLE, "cpu", TOKENS).draw(torch.tensor([LOGITS, LOGITS]), rows).ids == [1, 1]


def test_padding_is_never_drawn() -> None:
    """Columns beyond the vocabulary are not tokens, whatever their logits."""
    padded = torch.tensor([[*LOGITS, 99.0, math.inf]] * len(PARAMS))
    exact = torch.tensor([LOGITS] * len(PARAMS))
    rows = [row(params) for params in PARAMS]
    drawn = Sampler(TABLE, "cpu", TOKENS + 2).draw(padded, rows)
    assert drawn == Sampler(TABLE, "cpu", TOKENS).draw(exact, rows)


def test_a_head_smaller_than_the_vocabulary_draws_what_it_has() -> None:
    """Ids without a row in the model's head cannot be drawn."""
    draws = Sampler(TABLE, "cpu", 2).draw(torch.tensor([[0.0, 1.0]] * 9), [row(PARAMS[1], seed) for seed in range(9)])
    assert set(draws.ids) == {0, 1}


def test_a_batch_draws_what_its_rows_draw_alone() -> None:
    """Neighbours with other parameters change nothing."""
    generator = torch.Generator().manual_seed(4)
    rows = [row(params, seed, output=(1, 5)) for seed in range(20) for params in PARAMS]
    logits = torch.randn(len(rows), TOKENS, generator=generator) * 2
    sampler = Sampler(TABLE, "cpu", TOKENS)
    alone = [sampler.draw(logits[i : i + 1], [rows[i]]) for i in range(len(rows))]
    together = sampler.draw(logits, rows)
    assert together.ids == [draws.ids[0] for draws in alone]
    assert [bool(entry) for entry in together.logprobs] == [bool(draws.logprobs[0]) for draws in alone]


def test_a_large_batch_is_cut_into_blocks_without_a_trace() -> None:
    """More rows than one work array holds draw what each draws alone."""
    table = FakeTokenTable([i.to_bytes(3, "big") for i in range(40_000)])
    sampler = Sampler(table, "cpu", 40_000)
    rows = [History(table, PARAMS[1], mint_noise_key(seed, []), []).rows([])[0] for seed in range(9)]
    logits = torch.randn(9, 40_000, generator=torch.Generator().manual_seed(6))
    expected = [sampler.draw(logits[i : i + 1], [rows[i]]).ids[0] for i in range(9)]
    assert sampler.draw(logits, rows).ids == expected


def test_the_logits_are_never_edited() -> None:
    """All kinds of rows leave the model's output as it is."""
    logits = torch.tensor([LOGITS] * len(PARAMS))
    Sampler(TABLE, "cpu", TOKENS).draw(logits, [row(params, output=(0,)) for params in PARAMS])
    assert logits.tolist() == [LOGITS] * len(PARAMS)


@pytest.mark.parametrize("params", PARAMS)
def test_nan_logits_are_refused(params: SamplingParams) -> None:
    """A broken row raises instead of drawing something."""
    with pytest.raises(InternalError, match="not finite"):
        Sampler(TABLE, "cpu", TOKENS).draw(torch.tensor([[0.0, 1.0, math.nan, 0.0, 0.0, 0.0]]), [row(params)])


@pytest.mark.parametrize(
    "params", [params for params in PARAMS if not (params.top_k or params.min_p or params.top_p < 1)]
)
def test_ranks_are_what_would_be_drawn_if_those_before_were_ruled_out(params: SamplingParams) -> None:
    """One after the other, until no token is left."""
    generator = torch.Generator().manual_seed(3)
    rows = [row(params, seed, output=(1,)) for seed in range(20)]
    logits = torch.randn(len(rows), TOKENS, generator=generator) * 2
    sampler = Sampler(TABLE, "cpu", TOKENS)
    ranks = sampler.draw(logits, rows, ranks=3).ranks
    for place in range(3):
        assert [ids[place] for ids in ranks] == sampler.draw(logits, rows).ids
        logits[range(len(rows)), [ids[place] for ids in ranks]] = -math.inf


@pytest.mark.parametrize("params", PARAMS)
def test_ranks_stay_within_the_support(params: SamplingParams) -> None:
    """A row that is cut ranks what is left; the drawn token is the first."""
    sampler, rows = Sampler(TABLE, "cpu", TOKENS), [row(params, seed) for seed in range(20)]
    logits = torch.tensor([[0.5, 2.0, 1.0, -1.0, 2.1, 0.0]] * len(rows))
    laws = sampler.law(logits, rows) if params.temperature else torch.ones(len(rows), TOKENS)
    ranks, alone = sampler.draw(logits, rows, ranks=9).ranks, sampler.draw(logits, rows)
    assert [ids[:1] for ids in ranks] == [[token] for token in alone.ids] == alone.ranks
    assert [sorted(ids) for ids in ranks] == [torch.nonzero(law).flatten().tolist() for law in laws]


def test_no_rows_draw_nothing() -> None:
    """An empty batch is a batch."""
    assert Sampler(TABLE, "cpu", TOKENS).draw(torch.empty(0, TOKENS), []).ids == []


@pytest.mark.parametrize("params", [params for params in PARAMS if params.logprobs is not None and params.temperature])
def test_logprobs_are_those_of_the_processed_distribution(params: SamplingParams) -> None:
    """The drawn token's and the most likely tokens' natural logarithms under p."""
    drawn, found = logprobs_of(params, output=(1,))
    p = reference_distribution(LOGITS, params, [1], [1])
    order = sorted((i for i in range(TOKENS) if p[i] > 0), key=lambda i: (-p[i], i))[: params.logprobs]
    assert found.chosen == pytest.approx(math.log(p[drawn]))
    assert [token for token, _ in found.top] == order
    assert [value for _, value in found.top] == pytest.approx([math.log(p[token]) for token in order])


def test_greedy_logprobs_are_those_of_temperature_one() -> None:
    """At T = 0 the penalised logits' softmax is reported, ties by id."""
    drawn, found = logprobs_of(SamplingParams(logprobs=2))
    log_p = torch.log_softmax(torch.tensor(LOGITS, dtype=torch.float64), dim=0).tolist()
    assert (drawn, [token for token, _ in found.top]) == (1, [1, 4])
    assert [found.chosen, *(value for _, value in found.top)] == pytest.approx([log_p[1], log_p[1], log_p[4]])


def test_logprobs_leave_out_tokens_without_mass() -> None:
    """With two tokens in the support, five asked for give two."""
    found = logprobs_of(SamplingParams(temperature=1.0, top_k=2, logprobs=5))[1]
    assert dict(found.top) == pytest.approx({1: math.log(0.5), 4: math.log(0.5)})


def test_asking_for_logprobs_changes_no_draw() -> None:
    """The same noise is used with and without log probabilities."""
    sampler, logits = Sampler(TABLE, "cpu", TOKENS), torch.tensor([LOGITS] * 50)
    plain = [row(SamplingParams(temperature=1.0), seed) for seed in range(50)]
    asked = [row(SamplingParams(temperature=1.0, logprobs=1), seed) for seed in range(50)]
    assert sampler.draw(logits, plain).ids == sampler.draw(logits, asked).ids


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_draws_what_a_cpu_draws() -> None:
    """The same logits and rows give the same ids on a CUDA device."""
    rows = [row(params, seed, output=(1, 5)) for seed in range(300) for params in PARAMS]
    logits = torch.randn(len(rows), TOKENS, generator=torch.Generator().manual_seed(4))
    on_gpu = Sampler(TABLE, "cuda", TOKENS).draw(logits.cuda(), rows)
    assert on_gpu.ids == Sampler(TABLE, "cpu", TOKENS).draw(logits, rows).ids
