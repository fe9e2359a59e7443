"""Our own forward for models in Llama's shape: the same mathematics in a third of the operations.

A small model's step on a CPU is mostly the price of calling operations, so the projections that read the same input
are one product, positions are looked up, and nothing is wrapped. Only what is known to compute exactly this is taken:
each part must be of its family's own class, and the proof at start-up compares the logits with transformers'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from draftmesh.engine.attention.register import AttentionContext, AttentionOptions
from draftmesh.engine.decoders.rotary import RotaryTable, rotate, rows_of

_Part = Any  # a module of transformers, which is untyped


class FusedDecoder(nn.Module):
    """Satisfies :class:`draftmesh.engine.decoders.decoder.RecordableDecoder`."""

    def __init__(self, model: PreTrainedModel, windows: Sequence[int | None], context_tokens: int) -> None:
        """Fuse the layers of ``model``, which goes on working: its projections become views of the fused ones."""
        super().__init__()
        self.device, self.dtype = model.device, model.dtype
        base = model.model
        layers = zip(base.layers, windows, strict=True)
        self.layers = nn.ModuleList(FusedLayer(layer, index, window) for index, (layer, window) in enumerate(layers))
        self.head = model.lm_head
        self._norm = RmsNorm(base.norm)
        self._embedding = base.embed_tokens.weight.detach()
        self._rotary = RotaryTable(base.rotary_emb, context_tokens, self.dtype, self.device)

    def logits(
        self, ids: Sequence[int], positions: Sequence[int], wanted: Sequence[int], attention: AttentionContext
    ) -> Tensor:
        """One forward of a packed row; [len(wanted), vocab] in float32."""
        hidden = self._through_layers(rows_of(self._embedding, ids), self._rotary.at(positions), attention)
        return self._said(rows_of(hidden, wanted) if len(wanted) < len(ids) else hidden)

    def all_logits(
        self,
        ids: Tensor,  # [rows] int64
        positions: Tensor,  # [rows] int64
        attention: AttentionContext,
    ) -> Tensor:  # [rows, vocab] in float32
        """The same of all rows."""
        hidden = self._embedding.index_select(0, ids)
        return self._said(self._through_layers(hidden, self._rotary.anywhere(positions), attention))

    def _through_layers(self, hidden: Tensor, turns: tuple[Tensor, Tensor], attention: AttentionContext) -> Tensor:
        """[rows, hidden], before and after."""
        for layer in self.layers:
            hidden = layer.forward(hidden, *turns, attention)
        return hidden

    def _said(self, hidden: Tensor) -> Tensor:
        """[rows, vocab] in float32, from [rows, hidden]."""
        logits: Tensor = self.head(self._norm(hidden))
        return logits.float()


class FusedLayer(nn.Module):
    """One decoder layer."""

    def __init__(self, layer: _Part, index: int, window: int | None) -> None:
        super().__init__()
        attention, mlp = layer.self_attn, layer.mlp
        self._index = index
        self._size = attention.head_dim
        self._query_heads = attention.q_proj.out_features // self._size
        self._kv_heads = attention.k_proj.out_features // self._size
        self._options = AttentionOptions(attention.scaling, window, None)
        self.qkv = fused_linear((attention.q_proj, attention.k_proj, attention.v_proj))
        self.out = attention.o_proj
        self.gate_up = fused_linear((mlp.gate_proj, mlp.up_proj))
        self.down = mlp.down_proj
        self._activation = mlp.act_fn
        self._norms = RmsNorm(layer.input_layernorm), RmsNorm(layer.post_attention_layernorm)
        self._head_norms = _head_norms(attention)

    def forward(self, hidden: Tensor, cosines: Tensor, sines: Tensor, attention: AttentionContext) -> Tensor:
        """Hidden states [rows, hidden], before and after."""
        before_attention, before_mlp = self._norms
        hidden = hidden + self._attend(before_attention(hidden), cosines, sines, attention)
        gate, up = self.gate_up(before_mlp(hidden)).chunk(2, -1)
        after: Tensor = hidden + self.down(self._activation(gate) * up)
        return after

    def _attend(self, hidden: Tensor, cosines: Tensor, sines: Tensor, attention: AttentionContext) -> Tensor:
        rows, turned = hidden.shape[0], self._query_heads + self._kv_heads
        heads = self.qkv(hidden).view(rows, turned + self._kv_heads, self._size)
        positioned = heads[:, :turned]
        if self._head_norms:
            query_norm, key_norm = self._head_norms
            query, key = positioned[:, : self._query_heads], positioned[:, self._query_heads :]
            positioned = torch.cat((query_norm(query), key_norm(key)), dim=1)
        positioned = rotate(positioned, cosines, sines)
        query, key = positioned[:, : self._query_heads], positioned[:, self._query_heads :]
        attended = attention.attend(self._index, query, key, heads[:, turned:], self._options)
        out: Tensor = self.out(attended.reshape(rows, -1))
        return out


class RmsNorm:
    """Root mean square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    def __init__(self, norm: _Part) -> None:
        self._weight: Tensor = norm.weight.detach()
        self._share = 1 / self._weight.numel()
        self._variance_epsilon: float = norm.variance_epsilon
        self._epsilon = torch.full((1,), norm.variance_epsilon, device=self._weight.device)

    def __call__(self, x: Tensor) -> Tensor:
        """[..., size], normalised over the last dimension."""
        if x.is_cuda:  # where torch has one kernel for it
            return functional.rms_norm(x, self._weight.shape, self._weight, self._variance_epsilon)
        norm = torch.linalg.vector_norm(x, 2, -1, True, dtype=torch.float32)
        scale = torch.addcmul(self._epsilon, norm, norm, value=self._share).rsqrt_()  # 1 / sqrt(mean of squares)
        return (x * scale).mul_(self._weight).to(x.dtype)


def strip(model: PreTrainedModel) -> None:
    """Let go of what a fused decoder has taken from ``model``, so that repacking frees its memory."""
    del model.model.layers[:]
    del model.lm_head


def fused_linear(parts: Sequence[nn.Linear]) -> nn.Linear:
    """One layer with the outputs of all ``parts`` in order; their own weights become views of it."""
    weight = torch.cat([part.weight for part in parts])
    fused = nn.Linear(weight.shape[1], weight.shape[0], bias=parts[0].bias is not None, device="meta")
    sizes = [part.out_features for part in parts]
    _share(fused, "weight", weight, parts, sizes)
    if parts[0].bias is not None:
        _share(fused, "bias", torch.cat([part.bias for part in parts]), parts, sizes)
    return fused


def _share(fused: nn.Linear, name: str, whole: Tensor, parts: Sequence[nn.Linear], sizes: Sequence[int]) -> None:
    setattr(fused, name, nn.Parameter(whole, requires_grad=False))
    for part, view in zip(parts, torch.split(whole, list(sizes)), strict=True):
        setattr(part, name, nn.Parameter(view, requires_grad=False))


def _head_norms(attention: _Part) -> tuple[RmsNorm, RmsNorm] | None:
    """Of families that normalise each query and key head."""
    if not hasattr(attention, "q_norm"):
        return None
    return RmsNorm(attention.q_norm), RmsNorm(attention.k_norm)
