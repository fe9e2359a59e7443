"""The stages of a training run, in order; each is skipped if what it leaves behind is there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from draftmesh.demo.architecture import DRAFTERS, TARGET, ModelPlan, new_llama
from draftmesh.demo.encoding import end_of_text_id, text_of
from draftmesh.demo.evaluate import collapse_at
from draftmesh.demo.fitting import Fit, FitPlan
from draftmesh.demo.self_text import (
    TextPlan,
    for_minutes,
    generate_rows,
    is_lively,
    loop_starts_at,
    low_temperatures,
    repelled_loop,
    serving_temperatures,
)
from draftmesh.demo.sharpening import DRAFTER_FACTOR, scale_final_norm, scale_to_entropy
from draftmesh.demo.streams import Source, encode_stream, prompt_rows
from draftmesh.demo.warm_start import drafter_from
from draftmesh.demo.workspace import CorpusStreams, Workspace, corpus_streams
from draftmesh.tokenization import Tokenizer


@dataclass(frozen=True, slots=True)
class Durations:
    """Minutes of each stage; those of sharpening are for each of its rounds."""

    pretrain: float = 45.0
    sharpen_text: float = 3.0
    sharpen: float = 3.0
    distil_text: float = 10.0
    distil: float = 25.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which models are made, and on how many texts."""

    target: ModelPlan = TARGET
    drafters: tuple[ModelPlan, ...] = DRAFTERS
    sharpening_rounds: int = 2
    text_rows: int = 192
    """Texts that the target writes at a time."""

    collapse_rows: int = 96
    """Greedy texts that are looked at for loops."""

    entropy_rows: int = 64
    """Texts at temperature 1 whose entropy is set."""

    probe_tokens: int = 200
    """Tokens of each of those texts."""

    compile: bool = True
    """Whether training steps are compiled, where there is a compiler."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all models that are made."""
        return (self.target.name, *(drafter.name for drafter in self.drafters))


def run_stages(work: Workspace, durations: Durations, recipe: Recipe) -> None:
    """Run every stage that has not run yet, from the tokenizers to the drafters."""
    corpus = work.corpus()
    tokenizer = work.tokenizer(recipe.target.name, recipe.target.vocabulary_size)
    streams = corpus_streams(corpus, tokenizer)
    work.log(f"target corpus: {len(streams.training)} tokens, {len(streams.held_out)} held out")
    pretrain(work, recipe, tokenizer, streams, durations.pretrain)
    sharpen(work, recipe, tokenizer, streams, durations)
    rows = target_rows(work, recipe, tokenizer, streams, durations.distil_text)
    for drafter in recipe.drafters:
        distil(work, recipe, tokenizer, drafter, rows=rows, minutes=durations.distil)


def pretrain(work: Workspace, recipe: Recipe, tokenizer: Tokenizer, streams: CorpusStreams, minutes: float) -> None:
    """Train the target on the corpus."""
    stage = "target-pretrained"
    if work.model_folder(stage).exists():
        return
    model = new_llama(
        recipe.target.shape,
        vocabulary_size=len(tokenizer.vocabulary),
        end_of_text_id=end_of_text_id(tokenizer),
        seed=1,
    )
    work.log(f"target: {sum(weight.numel() for weight in model.parameters())} parameters")
    fit = Fit(model, FitPlan(minutes=minutes, compile=recipe.compile), work.state_file(stage), work.log)
    fit.run([Source(streams.training, 1.0)], streams.held_out)
    work.save(model, stage, recipe.target.name, torch.float32)


def sharpen(
    work: Workspace, recipe: Recipe, tokenizer: Tokenizer, streams: CorpusStreams, durations: Durations
) -> None:
    """Train the target on its own text, then set its entropy: the final target."""
    name = recipe.target.name
    if work.model_folder(name).exists():
        return
    model = work.load("target-pretrained")
    report_collapse(work, recipe, model, tokenizer, streams.held_out)
    for turn in range(1, recipe.sharpening_rounds + 1):
        _sharpen_once(work, recipe, model, tokenizer, streams, durations=durations, turn=turn)
        report_collapse(work, recipe, model, tokenizer, streams.held_out)
    prompts = prompt_rows(streams.held_out, recipe.entropy_rows)
    factor = scale_to_entropy(model, prompts, new_tokens=recipe.probe_tokens)
    work.log(f"final norm scaled by {factor:.3f}")
    work.save(model, name, name, torch.float16)


def _sharpen_once(
    work: Workspace,
    recipe: Recipe,
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    streams: CorpusStreams,
    *,
    durations: Durations,
    turn: int,
) -> None:
    """One round: the model writes, keeps what is lively, and unlearns going on with its loops."""
    name = f"sharpen-{turn}"
    rows = work.rows(name)
    if rows is None:
        text_plan = TextPlan(temperatures=low_temperatures, rows=recipe.text_rows, seed=20 + turn)
        batches = generate_rows(model, tokenizer, streams.training, text_plan)
        rows = list(for_minutes(batches, durations.sharpen_text))
        work.save_rows(name, rows)
    sources = [*_own_sources(work, tokenizer, rows), Source(streams.training, 0.3)]
    fit_plan = FitPlan(
        minutes=durations.sharpen,
        muon_rate=2e-3,
        adam_rate=1e-3,
        long_window_share=0.0,
        seed=30 + turn,
        compile=False,
    )
    Fit(model, fit_plan, work.state_file(name), work.log).run(sources, streams.held_out)


def _own_sources(work: Workspace, tokenizer: Tokenizer, rows: list[list[int]]) -> list[Source]:
    lively = [row for row in rows if is_lively(tokenizer, row)]
    loops = [(row, loop_starts_at(row)) for row in rows]
    repelled = [repelled_loop(row, start) for row, start in loops if start is not None]
    work.log(f"own text: {len(rows)} rows, {len(lively)} lively, {len(repelled)} that loop")
    return [
        Source(torch.tensor(part).flatten(), weight, aligned=True)
        for part, weight in ((lively, 0.5), (repelled, 0.2))
        if part
    ]


def target_rows(
    work: Workspace, recipe: Recipe, tokenizer: Tokenizer, streams: CorpusStreams, minutes: float
) -> list[list[int]]:
    """The final target's text after corpus prompts, at the temperatures it will serve."""
    rows = work.rows("distil")
    if rows is None:
        plan = TextPlan(temperatures=serving_temperatures, rows=recipe.text_rows, row_tokens=384, seed=12)
        batches = generate_rows(work.load(recipe.target.name), tokenizer, streams.training, plan)
        rows = list(for_minutes(batches, minutes))
        work.save_rows("distil", rows)
        work.log(f"distillation text: {len(rows)} rows, {sum(map(len, rows))} tokens")
    return rows


def distil(
    work: Workspace,
    recipe: Recipe,
    target_tokenizer: Tokenizer,
    drafter: ModelPlan,
    *,
    rows: list[list[int]],
    minutes: float,
) -> None:
    """Train one drafter on the target's text, from a warm start."""
    if work.model_folder(drafter.name).exists():
        return
    tokenizer = work.tokenizer(drafter.name, drafter.vocabulary_size)
    model = drafter_from(work.load(recipe.target.name), target_tokenizer, tokenizer, drafter.shape)
    texts = [text_of(target_tokenizer, row) for row in rows]
    held_out = len(texts) // 50
    sources = [
        Source(encode_stream(tokenizer, texts[held_out:]), 0.9),
        Source(corpus_streams(work.corpus(), tokenizer).training, 0.1),
    ]
    plan = FitPlan(
        minutes=minutes,
        muon_rate=3e-3,
        adam_rate=2e-3,
        window_tokens=384,
        batch_windows=12,
        long_window_share=0.0,
        seed=4,
        compile=recipe.compile,
    )
    fit = Fit(model, plan, work.state_file(drafter.name), work.log)
    fit.run(sources, encode_stream(tokenizer, texts[:held_out]))
    scale_final_norm(model, DRAFTER_FACTOR)
    work.save(model, drafter.name, drafter.name, torch.float16)


def report_collapse(
    work: Workspace, recipe: Recipe, model: LlamaForCausalLM, tokenizer: Tokenizer, held_out: Tensor
) -> None:
    """Log how many greedy continuations of held-out text run in circles."""
    prompts = prompt_rows(held_out, recipe.collapse_rows)
    collapse = collapse_at(model, tokenizer, prompts, temperature=0.0, new_tokens=recipe.probe_tokens)
    work.log(f"greedy: {collapse.looped:.1%} looped, {collapse.repetitive:.1%} repetitive")
