"""Which models :class:`draftmesh.engine.decoders.fused.FusedDecoder` computes exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from transformers import PreTrainedModel

FUSED_FAMILIES = ("Llama", "Mistral", "Qwen2", "Qwen3")
"""Families of transformers whose classes are in the fused decoder's shape."""

_STEADY_ROTATIONS = ("default", "linear", "llama3", "yarn")
"""Kinds of rotary positions that are the same however long the text is; a table can hold no others."""

_Part = Any  # a module of transformers, which is untyped


def can_fuse(model: PreTrainedModel) -> bool:
    """Whether every part is of a known family's own class, and plain: subclasses may compute something else."""
    is_known = any(all(_is_own(part, name, family) for part, name in _parts(model)) for family in FUSED_FAMILIES)
    return is_known and model.model.rotary_emb.rope_type in _STEADY_ROTATIONS


def _is_own(part: _Part, name: str | None, family: str) -> bool:
    if name is None:
        return type(part) is nn.Linear
    module = f"transformers.models.{family.lower()}.modeling_{family.lower()}"
    return (type(part).__module__, type(part).__name__) == (module, family + name)


def _parts(model: PreTrainedModel) -> Iterator[tuple[_Part, str | None]]:
    """The modules that a fused decoder reads, with their class's name behind the family's; None: a linear layer."""
    yield model, "ForCausalLM"  # first, so that the rest is there
    yield model.lm_head, None
    yield model.model.norm, "RMSNorm"
    yield model.model.rotary_emb, "RotaryEmbedding"
    for layer in model.model.layers:
        yield layer, "DecoderLayer"
        yield from _attention_parts(layer.self_attn)
        yield layer.mlp, "MLP"
        yield from ((layer.mlp.get_submodule(name), None) for name in ("gate_proj", "up_proj", "down_proj"))
        yield from ((norm, "RMSNorm") for norm in (layer.input_layernorm, layer.post_attention_layernorm))


def _attention_parts(attention: _Part) -> Iterator[tuple[_Part, str | None]]:
    yield attention, "Attention"
    yield from ((attention.get_submodule(name), None) for name in ("q_proj", "k_proj", "v_proj", "o_proj"))
    if hasattr(attention, "q_norm"):
        yield from ((norm, "RMSNorm") for norm in (attention.q_norm, attention.k_norm))
