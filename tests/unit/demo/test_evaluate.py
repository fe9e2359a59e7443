"""The measures of a model's own text say what they claim to say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from draftmesh.demo.evaluate import (
    Collapse,
    collapse_at,
    ends_in_a_loop,
    measure_collapse,
    measure_entropy,
    most_repeats,
)
from tests.unit.demo.builders import small_llama, small_tokenizer


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@torch.no_grad()
def test_collapse_is_found_in_what_the_model_says(tmp_path: Path) -> None:
    """A model that says its last token again, here a whole line, ends every text in one repeated line."""
    tokenizer = small_tokenizer("target", tmp_path)
    pieces = [tokenizer.vocabulary.token_bytes(token) for token in range(len(tokenizer.vocabulary))]
    line = next(token for token, piece in enumerate(pieces) if piece.endswith(b"\n") and piece.strip())
    model = small_llama(len(pieces))
    for name, weight in model.named_parameters():
        if "o_proj" in name or "down_proj" in name:
            weight.zero_()  # no layer adds anything: a token is most like itself
    prompts = torch.full((3, 4), line)
    found = collapse_at(model, tokenizer, prompts, temperature=0.0, new_tokens=6)
    assert Collapse(looped=1.0, repetitive=1.0) == found


def test_a_loop_is_five_equal_last_lines() -> None:
    """Five equal last lines are a loop, four are none; empty lines do not count."""
    assert [ends_in_a_loop("a\n" + "b\n\n" * count) for count in (5, 4)] == [True, False]


def test_repeats_count_the_most_frequent_line() -> None:
    """Lines are compared without their indentation."""
    assert most_repeats("  x\ny\nx\n\n\n x") == 3


def test_collapse_is_a_share_of_texts() -> None:
    """Of four texts one loops, and two have a line four times."""
    texts = ["b\n" * 5, "b\nc\nb\nb\nb\nd", "a\nb", "a"]
    assert Collapse(looped=0.25, repetitive=0.5) == measure_collapse(texts)


def test_entropy_of_a_model_that_knows_nothing_is_that_of_its_vocabulary() -> None:
    """With an output of zeros, every token is equally likely."""
    model = small_llama()
    with torch.no_grad():
        model.model.norm.weight.zero_()
    entropy = measure_entropy(model, torch.zeros(2, 4, dtype=torch.int64), new_tokens=3)
    assert pytest.approx(torch.tensor(96.0).log().item(), abs=1e-4) == entropy
