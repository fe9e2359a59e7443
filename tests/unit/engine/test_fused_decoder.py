"""The fused forward says what transformers says, is taken where it is known to, and nowhere else."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, Qwen2Config
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRotaryEmbedding, apply_rotary_pos_emb

from draftmesh.engine.capabilities import expected_windows
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.decoders.families import can_fuse
from draftmesh.engine.decoders.fused import FusedDecoder, fused_linear
from draftmesh.engine.decoders.rotary import RotaryTable, rotate
from draftmesh.engine.decoders.transformers_decoder import TransformersDecoder
from draftmesh.engine.loading import PreparedModel, prepare_model
from tests.helpers.tiny_models import CONTEXT_TOKENS, TINY_CONFIGS, random_model, tiny_model, whole_logits

QWEN2 = Qwen2Config(**{**TINY_CONFIGS["llama"].to_dict(), "model_type": "qwen2", "layer_types": None})
STRETCHED = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def prepare(model: PreTrainedModel, *, fused_layers: bool = True) -> PreparedModel:
    """Prepare without repacking."""
    return prepare_model(model, EngineConfig(model="tiny", packed_linear=False, fused_layers=fused_layers))


def llama(**changes: object) -> PreTrainedConfig:
    """A tiny llama that differs."""
    return type(TINY_CONFIGS["llama"])(**{**TINY_CONFIGS["llama"].to_dict(), **changes})


@pytest.mark.parametrize(
    "config",
    [
        TINY_CONFIGS["llama"],
        llama(rope_parameters=STRETCHED),
        llama(attention_bias=True, mlp_bias=True),
        llama(tie_word_embeddings=True),
        TINY_CONFIGS["mistral"],
        TINY_CONFIGS["qwen3"],
        QWEN2,
    ],
    ids=["llama", "llama3-rope", "biases", "tied", "mistral", "qwen3", "qwen2"],
)
def test_known_families_are_fused(config: PreTrainedConfig) -> None:
    """And their logits are transformers' own up to rounding."""
    prepared = prepare(random_model(config))
    assert isinstance(prepared.decoder, FusedDecoder)
    assert prepared.self_test_difference < 1e-5


@pytest.mark.parametrize("family", ["gemma2", "gemma3", "gpt2"])
def test_other_families_keep_their_own_forward(family: str) -> None:
    """Whatever they look like."""
    assert isinstance(prepare(tiny_model(family)).decoder, TransformersDecoder)


def test_fusing_can_be_switched_off() -> None:
    """For comparison."""
    assert isinstance(prepare(tiny_model("llama"), fused_layers=False).decoder, TransformersDecoder)


class _Other(LlamaMLP):  # type: ignore[misc]  # transformers is untyped
    """Might compute something else."""


class _Linear(nn.Linear):
    """Might compute something else."""


def test_a_part_of_another_class_is_not_fused() -> None:
    """Neither a layer's nor a projection's."""
    for name, part in (("mlp", _Other), ("self_attn.o_proj", _Linear)):
        model = tiny_model("llama")
        assert can_fuse(model)
        found = model.model.layers[1].get_submodule(name)
        found.__class__ = part
        assert not can_fuse(model)


def test_positions_that_depend_on_the_length_of_the_text_are_not_fused() -> None:
    """A table has one rotation for each position."""
    dynamic = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    assert not can_fuse(random_model(llama(rope_parameters=dynamic)))


def test_a_model_that_would_be_computed_differently_is_not_fused() -> None:
    """The proof finds out, and transformers' forward is taken."""
    model = tiny_model("llama")
    model.model.layers[1].register_forward_hook(lambda _module, _inputs, hidden: 2.0 * hidden)
    prepared = prepare(model)
    assert isinstance(prepared.decoder, TransformersDecoder)
    assert prepared.self_test_difference < 1e-5


def test_a_model_goes_on_working_while_it_is_fused() -> None:
    """Its projections are views of the fused ones: no weight is held twice."""
    ids = list(range(20))
    model = tiny_model("llama").requires_grad_(requires_grad=False)
    expected = whole_logits(model, ids)
    fused = FusedDecoder(model, expected_windows(model.config), CONTEXT_TOKENS)
    assert torch.equal(whole_logits(model, ids), expected)
    own = model.get_parameter("model.layers.0.self_attn.q_proj.weight")
    assert own.data_ptr() == fused.get_parameter("layers.0.qkv.weight").data_ptr()


def test_a_fused_product_is_the_products_side_by_side() -> None:
    """Biases too."""
    torch.manual_seed(0)
    parts = [nn.Linear(8, size) for size in (3, 5, 2)]
    x = torch.randn(4, 8)
    with torch.inference_mode():
        expected = torch.cat([part(x) for part in parts], dim=1)
        torch.testing.assert_close(fused_linear(parts)(x), expected)


def test_rotary_positions_are_those_of_transformers_at_any_distance() -> None:
    """The table grows as positions come, up to the context."""
    config = copy.deepcopy(llama(max_position_embeddings=4096))
    module = LlamaRotaryEmbedding(config)
    table = RotaryTable(module, 4096, torch.float32, torch.device("cpu"))
    torch.manual_seed(0)
    for positions in ([3], [510, 511, 512], [4095], [7, 2048]):
        query, key = torch.randn(2, 1, 2, len(positions), 8)
        cosines, sines = module(query, torch.tensor([positions]))
        for heads, expected in zip((query, key), apply_rotary_pos_emb(query, key, cosines, sines), strict=True):
            turned = rotate(heads[0].transpose(0, 1), *table.at(positions))
            torch.testing.assert_close(turned, expected[0].transpose(0, 1))
