"""A bigger model that says exactly what the small one says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from draftmesh.core.errors import ConfigError
from draftmesh.demo.expand import expand_checkpoint
from draftmesh.demo.models import TARGET, demo_model_path, expanded_target, shape_for
from draftmesh.demo.shape import checkpoint_shape
from tests.unit.demo.builders import small_llama, small_tokenizer


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The folder of a small random checkpoint whose norm weights are not all one."""
    folder = tmp_path / "small"
    tokenizer = small_tokenizer("target", folder)
    model = small_llama(len(tokenizer.vocabulary))
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(weight, 0.5, 2.0)
    model.save_pretrained(folder)
    return folder


def _load(folder: Path) -> LlamaForCausalLM:
    model: LlamaForCausalLM = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def test_half_precision_takes_half_the_bytes(small: Path, tmp_path: Path) -> None:
    """Every tensor is the one of float32, rounded; the configuration says so, and the folder is another one."""
    single = expanded_target(tmp_path, parameters=200_000, source=small)
    half = expanded_target(tmp_path, parameters=200_000, source=small, dtype="bfloat16")
    assert half != single
    expected, got = (load_file(folder / "model.safetensors") for folder in (single, half))
    assert {name: tensor.bfloat16().tolist() for name, tensor in expected.items()} == {
        name: tensor.tolist() for name, tensor in got.items()
    }
    assert all(tensor.dtype == torch.bfloat16 for tensor in got.values())
    assert AutoModelForCausalLM.from_pretrained(half, dtype="auto").dtype == torch.bfloat16


@torch.no_grad()
def _largest_difference(one: Path, other: Path) -> float:
    """The largest difference of two models' log probabilities on random text."""
    models = [_load(one), _load(other)]
    ids = torch.randint(models[0].config.vocab_size, (2, 40), generator=torch.Generator().manual_seed(2))
    logits = [model(ids, use_cache=False).logits.log_softmax(dim=-1) for model in models]
    return float((logits[0] - logits[1]).abs().max())


@pytest.mark.parametrize(
    ("hidden_size", "layers", "intermediate_size", "heads"),
    [(32, 5, 48, 2), (80, 3, 48, 2), (32, 3, 100, 2), (32, 3, 48, 8), (96, 6, 200, 4)],
)
def test_logits_stay_the_same_in_every_direction(
    small: Path, hidden_size: int, layers: int, intermediate_size: int, heads: int
) -> None:
    """Growing width, depth, intermediate size or heads, alone or together, changes no logit."""
    shape = replace(
        checkpoint_shape(small),
        hidden_size=hidden_size,
        layers=layers,
        intermediate_size=intermediate_size,
        heads=heads,
    )
    big = small.with_name("big")
    expand_checkpoint(small, big, shape)
    assert _largest_difference(small, big) < 1e-5


def test_shape_counts_the_parameters_of_the_model(small: Path, tmp_path: Path) -> None:
    """The parameter count of a shape is that of the model it describes."""
    shape = replace(checkpoint_shape(small), hidden_size=64, layers=4)
    expand_checkpoint(small, tmp_path / "big", shape)
    model = _load(tmp_path / "big")
    assert shape.parameters == sum(weight.numel() for weight in model.parameters())


def test_new_reading_weights_are_random_and_new_writing_weights_zero(small: Path, tmp_path: Path) -> None:
    """A new layer computes with dense matrices, and only its output projections are zero."""
    expand_checkpoint(small, tmp_path / "big", replace(checkpoint_shape(small), layers=4))
    weights = load_file(tmp_path / "big" / "model.safetensors")
    filled = {
        name.split(".")[-2]: float((weight != 0).double().mean())
        for name, weight in weights.items()
        if name.startswith("model.layers.3.")
    }
    written = {"o_proj": 0.0, "down_proj": 0.0}
    read = dict.fromkeys(["q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"], 1.0)
    norms = {"input_layernorm": 1.0, "post_attention_layernorm": 1.0}
    assert written | read | norms == pytest.approx(filled, abs=1e-3)


@pytest.mark.parametrize("size", ["hidden_size", "layers", "intermediate_size", "heads"])
def test_a_smaller_shape_is_refused(small: Path, tmp_path: Path, size: str) -> None:
    """Expansion never shrinks."""
    shape = checkpoint_shape(small)
    smaller = replace(shape, **{size: getattr(shape, size) - 1})
    with pytest.raises(ConfigError, match="smaller"):
        expand_checkpoint(small, tmp_path / "big", smaller)


@pytest.mark.parametrize("size", ["head_size", "vocabulary_size"])
def test_head_size_and_vocabulary_cannot_change(small: Path, tmp_path: Path, size: str) -> None:
    """A shape of another head size or vocabulary is refused."""
    shape = checkpoint_shape(small)
    other = replace(shape, **{size: 2 * getattr(shape, size)})
    with pytest.raises(ConfigError, match="neither"):
        expand_checkpoint(small, tmp_path / "big", other)


def test_heads_that_do_not_divide_the_width_are_refused(small: Path, tmp_path: Path) -> None:
    """Llama's configuration wants the width to be a multiple of the number of heads."""
    with pytest.raises(ConfigError, match="multiple"):
        expand_checkpoint(small, tmp_path / "big", replace(checkpoint_shape(small), heads=7))


@pytest.mark.parametrize("parameters", [20_000_000, 220_000_000, 1_000_000_000, 7_000_000_000])
def test_a_shape_has_at_least_the_wanted_parameters(parameters: int) -> None:
    """The chosen shape has the wanted number of parameters and at most a sixth more."""
    shape = shape_for(demo_model_path(TARGET), parameters)
    assert parameters <= shape.parameters <= parameters * 7 / 6


def test_an_expanded_target_is_made_once(small: Path, tmp_path: Path) -> None:
    """The second call returns the first one's folder and writes nothing."""
    first = expanded_target(tmp_path / "cache", parameters=200_000, source=small)
    written = (first / "model.safetensors").stat().st_mtime_ns
    second = expanded_target(tmp_path / "cache", parameters=200_000, source=small)
    assert (first, written) == (second, (second / "model.safetensors").stat().st_mtime_ns)


def test_other_weights_get_another_folder(small: Path, tmp_path: Path) -> None:
    """A cached expansion of older weights is not reused."""
    first = expanded_target(tmp_path / "cache", parameters=200_000, source=small)
    vocabulary_size = checkpoint_shape(small).vocabulary_size
    small_llama(vocabulary_size, seed=9).save_pretrained(small)
    assert first != expanded_target(tmp_path / "cache", parameters=200_000, source=small)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demo_target_at_220_million_parameters_speaks_the_same(tmp_path: Path) -> None:
    """At over 200 million parameters the log probabilities differ by rounding alone."""
    folder = expanded_target(tmp_path, parameters=220_000_000)
    small_logits, big_logits = (
        _load(path)(torch.arange(40)[None], use_cache=False).logits[0].detach()
        for path in (demo_model_path(TARGET), folder)
    )
    scale = float(small_logits.abs().max())
    assert float((small_logits - big_logits).abs().max()) < 1e-5 * scale
