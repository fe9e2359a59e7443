"""The whole of training, from sources to finished folders, on very little of everything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from draftmesh.demo.architecture import ModelPlan, Shape
from draftmesh.demo.corpus import is_held_out
from draftmesh.demo.sharpening import DRAFTER_FACTOR
from draftmesh.demo.stages import Durations, Recipe, run_stages
from draftmesh.demo.workspace import Workspace
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.loading import load_model
from tests.unit.demo.builders import TEXTS

SHAPE = Shape(hidden_size=32, layers=2, intermediate_size=48, head_size=16)
RECIPE = Recipe(
    target=ModelPlan("target", 420, SHAPE),
    drafters=(ModelPlan("drafter_sentencepiece", 420, Shape(32, 1, 48, 16)), ModelPlan("drafter_unigram", 430, SHAPE)),
    sharpening_rounds=1,
    text_rows=100,
    collapse_rows=4,
    entropy_rows=4,
    probe_tokens=12,
    compile=False,
)
ONE_STEP = 1e-9
"""Minutes: whoever has so little time does one step, and one batch."""


def _write_sources(root: Path) -> None:
    """Six files to train on and two that are held out."""
    names = [f"module_{index}.py" for index in range(400)]
    held_out = [name for name in names if is_held_out(name)][:2]
    for name in (*[name for name in names if not is_held_out(name)][:6], *held_out):
        (root / name).write_text("".join(TEXTS))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A work folder after every stage has run, with nothing trained for longer than a step."""
    torch.set_num_threads(1)
    sources = tmp_path_factory.mktemp("sources")
    _write_sources(sources)
    work = Workspace(tmp_path_factory.mktemp("work"), sources)
    durations = Durations(pretrain=ONE_STEP, sharpen_text=1e-4, sharpen=ONE_STEP, distil_text=1e-4, distil=ONE_STEP)
    run_stages(work, durations, RECIPE)
    return work


def test_finished_models_are_copied_and_can_be_served(workspace: Workspace, tmp_path: Path) -> None:
    """Each folder of the output is a model that the engine takes, with a tokenizer that keeps every byte."""
    workspace.publish(RECIPE.names, tmp_path / "out")
    loaded = [load_model(EngineConfig(model=str(tmp_path / "out" / name))) for name in RECIPE.names]
    assert [model.vocabulary_size == len(model.tokenizer.vocabulary) for model in loaded] == [True] * 3


def test_drafters_are_made_surer_once_trained(workspace: Workspace) -> None:
    """The final norm of a finished drafter is that of its last training state, scaled."""
    for drafter in RECIPE.drafters:
        trained = torch.load(workspace.state_file(drafter.name))["model"]["model.norm.weight"]
        saved = load_file(workspace.model_folder(drafter.name) / "model.safetensors")["model.norm.weight"]
        torch.testing.assert_close(saved, (trained * DRAFTER_FACTOR).half())


def test_a_finished_run_does_nothing_twice(workspace: Workspace) -> None:
    """Running the stages again leaves every finished model as it is."""
    files = [workspace.model_folder(name) / "model.safetensors" for name in RECIPE.names]
    before = [file.stat().st_mtime_ns for file in files]
    run_stages(workspace, Durations(), RECIPE)
    assert [file.stat().st_mtime_ns for file in files] == before
