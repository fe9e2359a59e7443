"""`python -m draftmesh.demo.report`: measures a demo target's own text as the README states it.

How well a drafter guesses that text is measured by serving the pair: `draftmesh inspect`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from cyclopts import App, Parameter
from transformers import AutoModelForCausalLM

from draftmesh.demo.corpus import read_corpus
from draftmesh.demo.evaluate import collapse_at, measure_entropy
from draftmesh.demo.fitting import held_out_loss
from draftmesh.demo.models import TARGET, demo_model_path
from draftmesh.demo.streams import encode_stream, prompt_rows
from draftmesh.tokenization import load_tokenizer

app = App(name="draftmesh.demo.report")

_ENTROPY_ROWS = 64


@app.default
def main(
    *,
    target: Annotated[Path | None, Parameter(help="Folder of the target; default: the packaged one.")] = None,
    rows: Annotated[int, Parameter(help="Held-out prompts to continue.")] = 96,
    new_tokens: Annotated[int, Parameter(help="Tokens of each continuation.")] = 200,
    temperatures: Annotated[tuple[float, ...], Parameter(help="Temperatures to continue at.")] = (0.0, 1.0),
    threads: Annotated[int, Parameter(help="CPU threads; 0: torch decides.")] = 0,
) -> None:
    """Measure held-out loss, entropy, and how much the target's text runs in circles."""
    if threads:
        torch.set_num_threads(threads)
    folder = target or demo_model_path(TARGET)
    tokenizer = load_tokenizer(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    held_out = encode_stream(tokenizer, [file.text for file in read_corpus().held_out])
    loss, entropy = held_out_loss(model, held_out), measure_entropy(model, prompt_rows(held_out, _ENTROPY_ROWS))
    print(f"target: held-out {loss:.3f} nats per token, entropy at T=1 {entropy:.3f}", flush=True)
    for temperature in temperatures:
        prompts = prompt_rows(held_out, rows)
        collapse = collapse_at(model, tokenizer, prompts, temperature=temperature, new_tokens=new_tokens)
        print(
            f"T={temperature:g}: {collapse.looped:.1%} end in one repeated line, "
            f"{collapse.repetitive:.1%} have a line four times",
            flush=True,
        )


if __name__ == "__main__":
    app()
