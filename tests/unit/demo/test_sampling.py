"""The fast decoder of rows in step computes what transformers computes."""

from __future__ import annotations

import pytest
import torch

from draftmesh.demo.sampling import RowDecoder, continue_rows, sample_at
from tests.unit.demo.builders import small_llama


def _ids(rows: int, tokens: int) -> torch.Tensor:
    return torch.randint(96, (rows, tokens), generator=torch.Generator().manual_seed(4))


def _decoder(rows: int) -> RowDecoder:
    return RowDecoder(small_llama(), rows=rows, max_tokens=40, dtype=torch.float32)


@torch.no_grad()
def test_step_by_step_logits_are_those_of_one_forward_pass() -> None:
    """A chunk and then single tokens give the logits of the whole text at once."""
    ids = _ids(3, 30)
    decoder = _decoder(3)
    decoder.logits(ids[:, :20])
    for position in range(20, 30):
        logits = decoder.logits(ids[:, position : position + 1])
    expected = small_llama()(ids, use_cache=False).logits[:, -1]
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_chunk_after_a_chunk_is_causal() -> None:
    """The last row of a later chunk sees all that precedes it."""
    ids = _ids(2, 24)
    decoder = _decoder(2)
    decoder.logits(ids[:, :15])
    expected = small_llama()(ids, use_cache=False).logits[:, -1]
    torch.testing.assert_close(decoder.logits(ids[:, 15:]), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_greedy_rows_are_those_of_generate() -> None:
    """Temperature 0 continues every row as transformers' greedy generation does."""
    model = small_llama()
    ids = _ids(4, 8)
    rows = continue_rows(model, ids, 12, sample_at([0.0] * 4, torch.Generator()))
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    expected = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
    assert expected[:, 8:].tolist() == rows.tolist()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_tempered_distribution(temperature: float) -> None:
    """Frequencies of 40,000 draws lie within five standard errors of the softmax."""
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    rows = 40_000
    draw = sample_at([temperature] * rows, torch.Generator().manual_seed(6))
    counts = draw(logits.expand(rows, -1)).bincount(minlength=4)
    expected = (logits / temperature).softmax(dim=0)
    error = (expected * (1 - expected) / rows).sqrt()
    assert bool(((counts / rows - expected).abs() < 5 * error).all())
