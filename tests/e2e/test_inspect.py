"""`draftmesh inspect` as a user runs it: on the packaged models, and on tokenizers alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from draftmesh.cli.options import PairOptions, PoolOptions
from draftmesh.cli.plan import deployment_plan
from draftmesh.client import AsyncClient, GenerateOptions
from draftmesh.demo.models import TARGET, demo_model_path
from draftmesh.demo.prompts import all_prompts
from draftmesh.inspection.measuring import serve_prompts, sum_up
from draftmesh.inspection.served_pair import served_pair, with_whole_drafts
from draftmesh.inspection.sources import read_texts
from tests.helpers.tokenizers import write_tokenizer
from tests.helpers.up import run_cli

pytestmark = pytest.mark.timeout(240)

SMALL = str(demo_model_path(TARGET))
PROMPTS, TOKENS = 8, 32
LARGE_PARAMETERS = "30000000"
"""Of the expanded target: large enough that drafts are worth waiting for."""


def inspect(*arguments: str) -> dict[str, Any]:
    """The JSON object of an inspection."""
    done = run_cli("inspect", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("pair", [("gpt2", "llama2"), ("llama2", "gpt2")], ids="-".join)
def test_tokenizers_alone_are_compared_by_bytes(pair: tuple[str, str], tmp_path: Path) -> None:
    """A GPT-2-style and a Llama-2-style tokenizer share newline, tab, what is beyond ASCII, and the end of text."""
    folders = [str(write_tokenizer(name, tmp_path / name)) for name in pair]
    found = inspect(*folders, "--tokenizers-only")
    shared = found["vocabularies"]["shared"]
    assert [shared[name] for name in ("newline", "tab", "non_ascii", "eos")] == [True] * 4
    assert (found["can_be_paired"], found["trials"]) == (True, [])


def test_a_tokenizer_that_normalises_is_a_diagnosis(tmp_path: Path) -> None:
    """The sentence says that the two cannot be paired, and why; no model is looked for."""
    done = run_cli("inspect", SMALL, str(write_tokenizer("t5", tmp_path)))
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "These two cannot be paired" in done.stdout
    assert "NFKC" in done.stdout


async def test_the_predicted_acceptance_is_the_one_met_in_serving(tmp_path: Path) -> None:
    """The corpus' prompts, served by another deployment with drafts as long, have accepted what it said, up to 0.05.

    With whole drafts, since the length of others depends on how busy the machine is at the moment.
    """
    corpus = tmp_path / "corpus.json"
    corpus.write_text(json.dumps(all_prompts()[:PROMPTS]))
    model = ("--demo-parameters", LARGE_PARAMETERS, "--cache-dir", str(tmp_path), "--verifier-threads", "1")
    what = ("--methods", "exact", "--temperatures", "0", "--prompts", str(PROMPTS), "--max-tokens", str(TOKENS))
    (trial,) = inspect("demo", "demo", *model, *what, "--whole-drafts", "--corpus", str(corpus))["trials"]
    pair = PairOptions(demo_parameters=int(LARGE_PARAMETERS), cache_dir=tmp_path, verifier_threads=1)
    plan = deployment_plan(pair.of("demo", "demo"), PoolOptions(listen="127.0.0.1:0"))
    options = GenerateOptions(max_tokens=TOKENS, method="exact")
    async with served_pair(with_whole_drafts(plan)) as served, AsyncClient(served.address) as client:
        figures = sum_up(await serve_prompts(client, read_texts(corpus), options, seed=0))
    print(f"predicted {trial['figures']['acceptance_rate']:.3f}, met {figures.acceptance_rate:.3f}")
    assert trial["figures"]["acceptance_rate"] == pytest.approx(figures.acceptance_rate, abs=0.05)
