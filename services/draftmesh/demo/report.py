"""`python -m draftmesh.demo.report`: measures the demo models as their README states them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from cyclopts import App, Parameter
from transformers import AutoModelForCausalLM

from draftmesh.demo.corpus import read_corpus
from draftmesh.demo.evaluate import (
    Acceptance,
    Reference,
    measure_acceptance,
    measure_collapse,
    measure_entropy,
    target_text,
)
from draftmesh.demo.fitting import held_out_loss
from draftmesh.demo.models import DRAFTER_SENTENCEPIECE, DRAFTER_UNIGRAM, TARGET, demo_model_path
from draftmesh.demo.pieces import Pieces, load_pieces
from draftmesh.demo.prompts import all_prompts, spread
from draftmesh.demo.streams import encode_stream, prompt_rows

app = App(name="draftmesh.demo.report")

HEALED_TOKENS = 3


@app.default
def main(
    *,
    models: Annotated[Path | None, Parameter(help="Folder of the three models.")] = None,
    prompts: Annotated[int, Parameter(help="Held-out prompts to measure on.")] = 64,
    new_tokens: Annotated[int, Parameter(help="Target tokens per prompt.")] = 200,
    draft_tokens: Annotated[int, Parameter(help="Draft length k, in target tokens.")] = 6,
    temperatures: Annotated[tuple[float, ...], Parameter(help="Temperatures to measure at.")] = (0.0, 1.0),
    threads: Annotated[int, Parameter(help="CPU threads; 0: torch decides.")] = 0,
) -> None:
    """Measure held-out loss, entropy, greedy collapse, and each drafter's acceptance."""
    if threads:
        torch.set_num_threads(threads)
    folder = models or demo_model_path(TARGET).parent
    chosen = spread(all_prompts(), prompts)
    pieces = load_pieces(folder / TARGET)
    _report_target(folder / TARGET, pieces)
    for temperature in temperatures:
        references = target_text(folder / TARGET, chosen, new_tokens=new_tokens, temperature=temperature)
        _report_collapse(pieces, references, temperature)
        for name in (DRAFTER_SENTENCEPIECE, DRAFTER_UNIGRAM):
            for healed in (0, HEALED_TOKENS):
                acceptance = measure_acceptance(
                    pieces, folder / name, references, draft_tokens=draft_tokens, healed_tokens=healed
                )
                print(f"T={temperature:g} {name} healing {healed}: {_in_words(acceptance)}", flush=True)


def _in_words(acceptance: Acceptance) -> str:
    return (
        f"acceptance {acceptance.rate:.3f}, {acceptance.tokens_per_round:.2f} target tokens and "
        f"{acceptance.drafter_tokens / acceptance.rounds:.1f} drafter tokens per round, "
        f"{acceptance.rounds} rounds"
    )


def _report_target(folder: Path, pieces: Pieces) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    held_out = encode_stream(pieces, [file.text for file in read_corpus().held_out])
    loss = held_out_loss(model, held_out)
    entropy = measure_entropy(model, prompt_rows(held_out, 64))
    print(f"target: held-out {loss:.3f} nats per token, entropy at T=1 {entropy:.3f}", flush=True)


def _report_collapse(pieces: Pieces, references: Sequence[Reference], temperature: float) -> None:
    texts = [pieces.text(reference.ids) for reference in references]
    collapse = measure_collapse(texts)
    print(
        f"T={temperature:g} target text: {collapse.looped:.1%} end in one repeated line, "
        f"{collapse.repetitive:.1%} have a line four times",
        flush=True,
    )


if __name__ == "__main__":
    app()
