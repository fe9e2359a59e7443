"""What ships in the package loads, fits and is what it says it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from draftmesh.core.errors import ConfigError
from draftmesh.demo.encoding import end_of_text_id, ids_of
from draftmesh.demo.models import MODEL_NAMES, TARGET, demo_model_path
from draftmesh.demo.prompts import all_prompts, demo_prompts
from draftmesh.tokenization import load_tokenizer


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_demo_model_loads_in_fp32_by_default(name: str) -> None:
    """from_pretrained without arguments computes in fp32, as the figures were measured."""
    assert torch.float32 == AutoModelForCausalLM.from_pretrained(demo_model_path(name)).dtype


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_model_and_tokenizer_have_one_vocabulary(name: str) -> None:
    """No padded rows: every row of the output is a token."""
    config = json.loads((demo_model_path(name) / "config.json").read_text())
    tokenizer = load_tokenizer(demo_model_path(name))
    assert (config["vocab_size"], config["eos_token_id"]) == (len(tokenizer.vocabulary), end_of_text_id(tokenizer))


def test_the_assets_stay_small() -> None:
    """All three models and the prompts together are under 24 MB."""
    assets = demo_model_path(TARGET).parent
    assert sum(path.stat().st_size for path in assets.rglob("*") if path.is_file()) < 24_000_000


def test_an_unknown_name_is_refused() -> None:
    """The error names the models that there are."""
    with pytest.raises(ConfigError, match="drafter_unigram"):
        demo_model_path("giant")


def test_prompts_are_many_and_different() -> None:
    """Two hundred prompts, no two alike, and sixteen of them for the demo."""
    prompts = all_prompts()
    assert (len(set(prompts)), len(demo_prompts()), set(demo_prompts()) <= set(prompts)) == (200, 16, True)


@torch.no_grad()
def test_the_target_has_learned_its_language() -> None:
    """On a held-out function it is far better than chance: under 4.5 nats per token."""
    tokenizer = load_tokenizer(demo_model_path(TARGET))
    model = AutoModelForCausalLM.from_pretrained(demo_model_path(TARGET)).eval()
    ids = torch.tensor([ids_of(tokenizer, "".join(demo_prompts()))[:500]])
    logits = model(ids, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).item()
    assert loss < 4.5


def test_assets_are_regular_readable_files() -> None:
    """Anyone who installs the package can read them."""
    assets = Path(demo_model_path(TARGET)).parent
    assert [path for path in assets.rglob("*") if path.is_file() and not path.stat().st_mode & 0o004] == []
