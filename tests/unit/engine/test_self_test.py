"""The start-up proof catches models that go their own way, whatever their configuration says."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import GptOssConfig, LlamaConfig, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaAttention

from draftmesh.core.errors import UnsupportedModelError
from draftmesh.engine.attention.register import ATTENTION_NAME
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.kv_storage import KvShape
from draftmesh.engine.loading import prepare_model
from tests.helpers.tiny_models import TINY_CONFIGS, VOCABULARY_SIZE, random_model, tiny_model


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def prepare(model: PreTrainedModel) -> Any:  # noqa: ANN401  # a PreparedModel
    """Prepare without repacking."""
    return prepare_model(model, EngineConfig(model="tiny", packed_linear=False))


@pytest.mark.parametrize("family", TINY_CONFIGS)
def test_supported_families_are_proved(family: str) -> None:
    """Their paged logits are their own, up to rounding."""
    prepared = prepare(tiny_model(family))
    assert prepared.self_test_difference < 1e-5
    assert len(prepared.kv_shapes) == 3


def test_kv_shapes_are_those_of_the_unrepeated_heads() -> None:
    """Grouped-query attention stores one key head a group."""
    assert prepare(tiny_model("llama")).kv_shapes[0] == KvShape(kv_heads=2, key_size=8, value_size=8)


class _Deaf(nn.Module):
    """An attention layer that ignores the interface and lets its input through."""

    def forward(self, hidden_states: Tensor, **_: object) -> tuple[Tensor, None]:
        """The same hidden states."""
        return hidden_states, None


def test_a_layer_that_bypasses_the_hook_is_noticed() -> None:
    """Three layers, two calls."""
    model = tiny_model("llama")
    model.model.layers[1].self_attn = _Deaf()
    with pytest.raises(UnsupportedModelError, match="3 layers called the attention hook 2 times"):
        prepare(model)


class _Biased(LlamaAttention):  # type: ignore[misc]  # transformers is untyped
    """Adds to the scores something that it does not tell the interface: here, by changing keys by position."""

    def forward(self, hidden_states: Tensor, **kwargs: Any) -> Any:  # noqa: ANN401  # as the class it replaces
        """Attention over inputs scaled by their row in the pack."""
        rows = torch.arange(1, hidden_states.shape[1] + 1)[None, :, None]
        return super().forward(hidden_states * rows, **kwargs)


def test_logits_that_depend_on_the_pack_are_noticed() -> None:
    """A model that counts rows instead of positions gives other logits in chunks than as a whole."""
    model = tiny_model("llama")
    layer = _Biased(model.config, 0)
    layer.load_state_dict(model.model.layers[0].self_attn.state_dict())
    model.model.layers[0].self_attn = layer
    with pytest.raises(UnsupportedModelError, match="paged logits differ"):
        prepare(model)


def test_a_window_other_than_the_configured_one_is_noticed() -> None:
    """A layer that masks by itself would not tell the hook its window."""
    model = tiny_model("mistral")
    config = copy.deepcopy(model.config)
    config.sliding_window = None
    model.model.layers[2].self_attn.config = config
    config._attn_implementation = ATTENTION_NAME
    with pytest.raises(UnsupportedModelError, match="sliding windows"):
        prepare(model)


def test_attention_sinks_are_refused() -> None:
    """Leaving them out was measured to change logits by 0.19."""
    config = GptOssConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        num_local_experts=2,
        num_experts_per_tok=1,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        pad_token_id=None,
    )
    with pytest.raises(UnsupportedModelError, match=r"'gpt_oss'.*sinks"):
        prepare(random_model(config))


def test_half_precision_is_proved_within_its_own_rounding() -> None:
    """bfloat16 differs more between shapes of products, and passes."""
    model = tiny_model("llama", dtype=torch.bfloat16)
    prepared = prepare_model(model, EngineConfig(model="tiny", dtype="bfloat16"))
    assert prepared.decoder.dtype == torch.bfloat16


def test_two_models_from_one_configuration_do_not_rewire_each_other() -> None:
    """Each model brings a configuration of its own."""
    plain, paged = tiny_model("llama"), tiny_model("llama")
    prepare(paged)
    assert plain.config._attn_implementation == "eager"


def test_the_smallest_context_is_proved_too() -> None:
    """The proof's text is cut to what the model can hold."""
    config = LlamaConfig(**{**TINY_CONFIGS["llama"].to_dict(), "max_position_embeddings": 6})
    assert prepare(random_model(config)).context_tokens == 6
