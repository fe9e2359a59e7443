"""The stages of a training run, in order; each is skipped if what it leaves behind is there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from draftmesh.demo.architecture import DRAFTERS, TARGET_SHAPE, TARGET_VOCABULARY, DrafterPlan, new_llama
from draftmesh.demo.evaluate import measure_collapse
from draftmesh.demo.fitting import Fit, FitPlan
from draftmesh.demo.pieces import Pieces
from draftmesh.demo.sampling import continue_rows, sample_at
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

SHARPENING_ROUNDS = 2

_COLLAPSE_ROWS = 96
_COLLAPSE_NEW_TOKENS = 200


@dataclass(frozen=True, slots=True)
class Durations:
    """Minutes of each stage; those of sharpening are for each of its rounds."""

    pretrain: float = 45.0
    sharpen_text: float = 3.0
    sharpen: float = 3.0
    distil_text: float = 10.0
    distil: float = 25.0


def run_stages(work: Workspace, durations: Durations) -> None:
    """Run every stage that has not run yet, from the tokenizers to the drafters."""
    corpus = work.corpus()
    target_pieces = work.tokenizer("target", TARGET_VOCABULARY)
    streams = corpus_streams(corpus, target_pieces)
    work.log(f"target corpus: {len(streams.training)} tokens, {len(streams.held_out)} held out")
    pretrain(work, target_pieces, streams, durations.pretrain)
    sharpen(work, target_pieces, streams, durations)
    rows = target_rows(work, target_pieces, streams, durations.distil_text)
    for drafter in DRAFTERS:
        distil(work, target_pieces, drafter, rows, durations.distil)


def pretrain(work: Workspace, pieces: Pieces, streams: CorpusStreams, minutes: float) -> None:
    """Train the target on the corpus."""
    stage = "target-pretrained"
    if work.model_folder(stage).exists():
        return
    model = new_llama(
        TARGET_SHAPE,
        vocabulary_size=len(pieces.spelled),
        end_of_text_id=pieces.end_of_text_id,
        seed=1,
    )
    work.log(f"target: {sum(weight.numel() for weight in model.parameters())} parameters")
    fit = Fit(model, FitPlan(minutes=minutes), work.state_file(stage), work.log)
    fit.run([Source(streams.training, 1.0)], streams.held_out)
    work.save(model, stage, "target", torch.float32)


def sharpen(work: Workspace, pieces: Pieces, streams: CorpusStreams, durations: Durations) -> None:
    """Train the target on its own text, then set its entropy: the final target."""
    if work.model_folder("target").exists():
        return
    model = work.load("target-pretrained")
    report_collapse(work, model, pieces, streams.held_out)
    for turn in range(1, SHARPENING_ROUNDS + 1):
        _sharpen_once(work, model, pieces, streams, durations=durations, turn=turn)
        report_collapse(work, model, pieces, streams.held_out)
    factor = scale_to_entropy(model, prompt_rows(streams.held_out, 64))
    work.log(f"final norm scaled by {factor:.3f}")
    work.save(model, "target", "target", torch.float16)


def _sharpen_once(
    work: Workspace,
    model: LlamaForCausalLM,
    pieces: Pieces,
    streams: CorpusStreams,
    *,
    durations: Durations,
    turn: int,
) -> None:
    """One round: the model writes, keeps what is lively, and unlearns going on with its loops."""
    name = f"sharpen-{turn}"
    rows = work.rows(name)
    if rows is None:
        text_plan = TextPlan(temperatures=low_temperatures, seed=20 + turn)
        batches = generate_rows(model, pieces, streams.training, text_plan)
        rows = list(for_minutes(batches, durations.sharpen_text))
        work.save_rows(name, rows)
    sources = [*_own_sources(work, pieces, rows), Source(streams.training, 0.3)]
    fit_plan = FitPlan(
        minutes=durations.sharpen,
        muon_rate=2e-3,
        adam_rate=1e-3,
        long_window_share=0.0,
        seed=30 + turn,
        compile=False,
    )
    Fit(model, fit_plan, work.state_file(name), work.log).run(sources, streams.held_out)


def _own_sources(work: Workspace, pieces: Pieces, rows: list[list[int]]) -> list[Source]:
    lively = [row for row in rows if is_lively(pieces, row)]
    loops = [(row, loop_starts_at(row)) for row in rows]
    repelled = [repelled_loop(row, start) for row, start in loops if start is not None]
    work.log(f"own text: {len(rows)} rows, {len(lively)} lively, {len(repelled)} that loop")
    return [
        Source(torch.tensor(part).flatten(), weight, aligned=True)
        for part, weight in ((lively, 0.5), (repelled, 0.2))
        if part
    ]


def target_rows(work: Workspace, pieces: Pieces, streams: CorpusStreams, minutes: float) -> list[list[int]]:
    """The final target's text after corpus prompts, at the temperatures it will serve."""
    rows = work.rows("distil")
    if rows is None:
        plan = TextPlan(temperatures=serving_temperatures, row_tokens=384, seed=12)
        batches = generate_rows(work.load("target"), pieces, streams.training, plan)
        rows = list(for_minutes(batches, minutes))
        work.save_rows("distil", rows)
        work.log(f"distillation text: {len(rows)} rows, {sum(map(len, rows))} tokens")
    return rows


def distil(
    work: Workspace,
    target_pieces: Pieces,
    drafter: DrafterPlan,
    rows: list[list[int]],
    minutes: float,
) -> None:
    """Train one drafter on the target's text, from a warm start."""
    if work.model_folder(drafter.name).exists():
        return
    pieces = work.tokenizer(drafter.name, drafter.vocabulary_size)
    model = drafter_from(work.load("target"), target_pieces, pieces, drafter.shape)
    texts = [target_pieces.text(row) for row in rows]
    held_out = len(texts) // 50
    sources = [
        Source(encode_stream(pieces, texts[held_out:]), 0.9),
        Source(corpus_streams(work.corpus(), pieces).training, 0.1),
    ]
    plan = FitPlan(
        minutes=minutes,
        muon_rate=3e-3,
        adam_rate=2e-3,
        window_tokens=384,
        batch_windows=12,
        long_window_share=0.0,
        seed=4,
    )
    fit = Fit(model, plan, work.state_file(drafter.name), work.log)
    fit.run(sources, encode_stream(pieces, texts[:held_out]))
    scale_final_norm(model, DRAFTER_FACTOR)
    work.save(model, drafter.name, drafter.name, torch.float16)


def report_collapse(work: Workspace, model: LlamaForCausalLM, pieces: Pieces, held_out: Tensor) -> None:
    """Log how many greedy continuations of held-out text run in circles."""
    prompts = prompt_rows(held_out, _COLLAPSE_ROWS)
    greedy = sample_at([0.0] * len(prompts), torch.Generator())
    rows = continue_rows(model, prompts, _COLLAPSE_NEW_TOKENS, greedy).tolist()
    collapse = measure_collapse([pieces.text(row) for row in rows])
    work.log(f"greedy: {collapse.looped:.1%} looped, {collapse.repetitive:.1%} repetitive")
