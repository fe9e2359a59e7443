"""The offline measures say what they claim to say."""

from __future__ import annotations

import pytest
import torch

from draftmesh.demo.evaluate import (
    Collapse,
    align,
    ends_in_a_loop,
    measure_acceptance,
    measure_collapse,
    measure_entropy,
    most_repeats,
    target_text,
)
from draftmesh.demo.models import DRAFTER_SENTENCEPIECE, TARGET, demo_model_path
from draftmesh.demo.pieces import load_pieces
from draftmesh.demo.prompts import demo_prompts
from tests.unit.demo.builders import small_llama


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_target_accepts_itself(temperature: float) -> None:
    """The target, drafting for itself, has every draft token accepted that falls on its own tokens."""
    folder = demo_model_path(TARGET)
    references = target_text(folder, demo_prompts()[:2], new_tokens=40, temperature=temperature)
    acceptance = measure_acceptance(load_pieces(folder), folder, references)
    assert acceptance.rate > 0.97


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_drafter_commits_more_than_one_token_a_round(temperature: float) -> None:
    """The shipped drafter is worth its while at both temperatures."""
    folder = demo_model_path(TARGET)
    references = target_text(folder, demo_prompts()[:4], new_tokens=48, temperature=temperature)
    acceptance = measure_acceptance(load_pieces(folder), demo_model_path(DRAFTER_SENTENCEPIECE), references)
    assert acceptance.tokens_per_round > 2.0


def test_target_text_is_reproducible_and_keyed() -> None:
    """The same prompt under another noise key gets another text; the same key the same text."""
    prompt = demo_prompts()[0]
    first, second = (
        target_text(demo_model_path(TARGET), [prompt, prompt], new_tokens=24, temperature=1.0) for _ in range(2)
    )
    assert (first, True) == (second, first[0].ids != first[1].ids)


def test_alignment_reads_the_draft_after_the_committed_tail() -> None:
    """The draft's ids are those that start at the boundary of the joint text."""
    target = load_pieces(demo_model_path(TARGET))
    committed, draft = "x = os", ".path.join(name)"
    assert target.encode(committed + draft)[-len(target.encode(draft)) :] == align(
        target, committed.encode(), draft.encode()
    )


def test_alignment_without_a_boundary_encodes_the_draft_alone() -> None:
    """Where a token would span the boundary, the draft stands for itself."""
    target = load_pieces(demo_model_path(TARGET))
    assert target.encode("rn x") == align(target, b"        retu", b"rn x")


def test_alignment_leaves_out_an_incomplete_character() -> None:
    """Half a character at the draft's end is no token yet."""
    target = load_pieces(demo_model_path(TARGET))
    assert target.encode("abc") == align(target, b"x = ", b"abc\xe6\x97")


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
