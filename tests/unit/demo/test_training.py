"""The parts of training: streams, the loop, warm starts, filters and sharpening."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from draftmesh.demo.corpus import is_held_out, read_corpus
from draftmesh.demo.encoding import end_of_text_id, ids_of
from draftmesh.demo.evaluate import measure_entropy
from draftmesh.demo.fitting import Fit, FitPlan, held_out_loss, mean_loss
from draftmesh.demo.self_text import is_lively, loop_starts_at, repelled_loop, serving_temperatures
from draftmesh.demo.sharpening import scale_to_entropy
from draftmesh.demo.streams import Source, batches, encode_stream, prompt_rows
from draftmesh.demo.warm_start import drafter_from
from tests.unit.demo.builders import SMALL_SHAPE, TEXTS, small_llama, small_tokenizer


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _write_tree(root: Path) -> None:
    for name in ("a.py", "test/b.py", "pkg/c.py", "pkg/tests/d.py", "notes.txt"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n" * 60)


def test_the_corpus_leaves_out_tests_and_other_files(tmp_path: Path) -> None:
    """Only Python files outside test folders are read."""
    _write_tree(tmp_path)
    corpus = read_corpus(tmp_path)
    assert {"a.py", "pkg/c.py"} == {file.path for file in corpus.training + corpus.held_out}


def test_held_out_files_are_about_three_percent() -> None:
    """The hash of the path holds out three files in a hundred."""
    held_out = sum(is_held_out(f"package/module_{index}.py") for index in range(20_000))
    assert held_out / 20_000 == pytest.approx(0.03, abs=0.006)


def test_a_stream_joins_texts_with_the_end_of_text(tmp_path: Path) -> None:
    """Every text follows an end of text."""
    tokenizer = small_tokenizer("target", tmp_path)
    stream = encode_stream(tokenizer, ["a = 1\n", "b\n"]).tolist()
    end = end_of_text_id(tokenizer)
    assert [end, *ids_of(tokenizer, "a = 1\n"), end, *ids_of(tokenizer, "b\n")] == stream


def test_batches_draw_from_sources_by_weight() -> None:
    """Three quarters of the windows come from the source of weight three."""
    sources = [Source(torch.zeros(4096, dtype=torch.int64), 3.0), Source(torch.ones(4096, dtype=torch.int64), 1.0)]
    feed = batches(sources, window_tokens=8, windows=64, generator=torch.Generator().manual_seed(0))
    share = sum(next(feed).double().mean().item() for _ in range(100)) / 100
    assert share == pytest.approx(0.25, abs=0.03)


def test_one_pass_over_a_source_repeats_no_token() -> None:
    """A source is gone through before any of it comes again."""
    feed = batches(
        [Source(torch.arange(808), 1.0)], window_tokens=8, windows=100, generator=torch.Generator().manual_seed(0)
    )
    tokens = next(feed).flatten().tolist()
    assert len(tokens) == len(set(tokens))


def _fit(path: Path, minutes: float) -> float:
    """Train a small model; returns its loss on the training text afterwards."""
    tokenizer = small_tokenizer("target", path / "tokenizer")
    model = small_llama(len(tokenizer.vocabulary))
    stream = encode_stream(tokenizer, TEXTS)
    plan = FitPlan(minutes=minutes, window_tokens=32, batch_windows=8, compile=False)
    Fit(model, plan, path / "fit.state", lambda _: None).run([Source(stream, 1.0)], stream)
    return held_out_loss(model, stream, window_tokens=64, windows=8)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    """A few seconds of training make a repetitive text more likely."""
    untrained = _fit(tmp_path / "untrained", 0.0)
    assert _fit(tmp_path / "trained", 0.05) < 0.9 * untrained


def test_a_finished_run_resumes_as_it_ended(tmp_path: Path) -> None:
    """Running a finished plan again loads its state and trains no further."""
    assert _fit(tmp_path, 0.02) == _fit(tmp_path, 0.02)


@pytest.mark.parametrize(("progress", "factor"), [(0.0, 0.1), (0.02, 1.0), (0.3, 1.0), (0.65, 0.5), (1.0, 0.03)])
def test_the_rate_warms_up_holds_and_falls(progress: float, factor: float) -> None:
    """The rate factor at five points of a run."""
    assert FitPlan(minutes=1.0).rate_factor(progress) == pytest.approx(factor)


@torch.no_grad()
def test_a_warm_start_keeps_outer_layers_and_translates_embeddings(tmp_path: Path) -> None:
    """A token of the drafter begins as the mean of the target's tokens of the same bytes."""
    target_tokenizer = small_tokenizer("target", tmp_path / "target")
    tokenizer = small_tokenizer("drafter_sentencepiece", tmp_path / "drafter")
    target = small_llama(len(target_tokenizer.vocabulary))
    shape = type(SMALL_SHAPE)(hidden_size=32, layers=2, intermediate_size=48, head_size=16)
    drafter = drafter_from(target, target_tokenizer, tokenizer, shape)
    (token_id,) = ids_of(tokenizer, " self")
    expected = target.model.embed_tokens.weight[ids_of(target_tokenizer, " self")].mean(dim=0)
    torch.testing.assert_close(drafter.model.embed_tokens.weight[token_id], expected)
    torch.testing.assert_close(drafter.model.layers[1].mlp.up_proj.weight, target.model.layers[2].mlp.up_proj.weight)


def test_lively_text_passes_and_circling_text_does_not(tmp_path: Path) -> None:
    """A text that says one line over and over is told from one that goes on."""
    tokenizer = small_tokenizer("target", tmp_path)
    lively = "".join(f"value_{chr(97 + i)} = {i * i * 37}\n" for i in range(20))
    assert [is_lively(tokenizer, ids_of(tokenizer, text)) for text in (lively, "x = x\n" * 20)] == [True, False]


@pytest.mark.parametrize(
    ("row", "start"),
    [
        (list(range(200)), None),
        ([*range(100, 150), *[1, 2, 3, 4, 5] * 20], 67),
        ([*range(30), *[7] * 40], 43),
        (list(range(30)) * 2, None),
        (list(range(30)) * 4, 90),
    ],
)
def test_a_loop_starts_with_the_third_repetition(row: list[int], start: int | None) -> None:
    """Two periods (and at least twelve tokens) must repeat before going on counts as a loop."""
    assert loop_starts_at(row) == start


def test_only_what_goes_on_with_a_loop_is_repelled() -> None:
    """Tokens before the loop keep their ids; tokens from its start on are marked."""
    assert repelled_loop([5, 6, 7, 0], 2) == [5, 6, -8, -1]


@torch.no_grad()
def test_the_loss_is_unlikelihood_where_tokens_are_repelled() -> None:
    """A token counts -log p, a repelled one -log(1 - p)."""
    model = small_llama()
    ids = torch.tensor([[3, 14, 15, 92, 65]])
    marked = torch.tensor([[3, 14, -16, 92, -66]])
    p = model(ids).logits[0, :-1].softmax(dim=-1)[torch.arange(4), ids[0, 1:]]
    expected = -(p[0].log() + (1 - p[1]).log() + p[2].log() + (1 - p[3]).log()) / 4
    torch.testing.assert_close(mean_loss(model, marked), expected)


def test_serving_temperatures_are_a_third_greedy_and_a_third_one() -> None:
    """Drafters learn from all temperatures that they will serve."""
    drawn = serving_temperatures(9000, torch.Generator().manual_seed(0))
    shares = [(drawn == 0).double().mean().item(), (drawn == 1).double().mean().item()]
    assert pytest.approx([1 / 3, 1 / 3], abs=0.02) == shares


def test_scaling_the_final_norm_sets_the_entropy() -> None:
    """A model of any sureness is brought to the wanted entropy."""
    model = small_llama(seed=3)
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(10.0)
    prompts = prompt_rows(torch.arange(400) % 96, 8, prompt_tokens=6)
    scale_to_entropy(model, prompts, entropy_nats=1.5)
    assert measure_entropy(model, prompts) == pytest.approx(1.5, abs=0.02)
