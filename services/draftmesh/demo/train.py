"""`python -m draftmesh.demo.train`: makes the demo models from nothing but a Python installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from cyclopts import App, Parameter

from draftmesh.demo.stages import Durations, Recipe, run_stages
from draftmesh.demo.workspace import Workspace

app = App(
    name="draftmesh.demo.train",
    help="""Train the demo target and its two drafters on the standard library's sources.

    Five stages, each skipped when what it leaves behind is already in the work folder; an
    interrupted training goes on from its last saved state:

    1. tokenizers: byte-level BPE, BPE with byte fallback, Unigram with byte fallback
    2. pretrain: the target on the corpus
    3. sharpen: the target on its own low-temperature text, in two rounds: it learns the texts
       that go on, and unlearns to go on with loops; then its final norm is scaled, so that text
       at temperature 1 has 0.7 nats per token
    4. distil-text: the target writes what the drafters learn from
    5. distil: each drafter, starting from the target's own layers

    `python -m draftmesh.demo.report --target OUT/target` then measures the target's own text, and
    `draftmesh inspect OUT/target OUT/drafter_unigram` how well a drafter guesses it.

    The defaults take about two hours on two cores with AVX-512 BF16. For a first look at the
    whole pipeline give every stage half a minute; the models will then speak nonsense.
    """,
)


@app.default
def train(
    *,
    out: Annotated[Path, Parameter(help="Folder for the finished models, one folder each.")],
    work: Annotated[Path | None, Parameter(help="Work folder; default: OUT/work.")] = None,
    pretrain_minutes: Annotated[float, Parameter(help="Target on the corpus.")] = 45.0,
    sharpen_text_minutes: Annotated[float, Parameter(help="Target writes for itself, each round.")] = 3.0,
    sharpen_minutes: Annotated[float, Parameter(help="Target on its own text, each round.")] = 3.0,
    distil_text_minutes: Annotated[float, Parameter(help="Target writes for drafters.")] = 10.0,
    distil_minutes: Annotated[float, Parameter(help="Each drafter on that text.")] = 25.0,
    threads: Annotated[int, Parameter(help="CPU threads; 0: torch decides.")] = 0,
) -> None:
    """Train everything that is missing in the work folder, then copy the three models to OUT."""
    if threads:
        torch.set_num_threads(threads)
    workspace = Workspace(work or out / "work")
    workspace.root.mkdir(parents=True, exist_ok=True)
    durations = Durations(
        pretrain=pretrain_minutes,
        sharpen_text=sharpen_text_minutes,
        sharpen=sharpen_minutes,
        distil_text=distil_text_minutes,
        distil=distil_minutes,
    )
    recipe = Recipe()
    run_stages(workspace, durations, recipe)
    workspace.publish(recipe.names, out)


if __name__ == "__main__":
    app()
