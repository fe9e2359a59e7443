"""Fast batched generation from a small Llama on a CPU, for making training text.

All rows of a batch have prompts of one length and stay in step, so the KV cache is one plain tensor
per layer, nothing is padded and nothing is gathered. This is several times faster than the general
`generate`; the demo's own serving does not use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM

Choose = Callable[[Tensor], Tensor]
"""Picks next ids [rows] from fp32 logits [rows, vocab]."""


class RowDecoder:
    """The forward pass of a Llama for rows in step, with its weights in `dtype`."""

    def __init__(self, model: LlamaForCausalLM, *, rows: int, max_tokens: int, dtype: torch.dtype) -> None:
        config = model.config
        self._heads: int = config.num_attention_heads
        self._head_size: int = config.head_dim
        self._eps: float = config.rms_norm_eps
        weights = {name: value.detach().to(dtype) for name, value in model.state_dict().items()}
        self._embedding = weights["model.embed_tokens.weight"]  # [vocab, hidden]
        self._output = weights["lm_head.weight"]  # [vocab, hidden]
        self._final_norm = weights["model.norm.weight"]  # [hidden]
        self._layers = [_Layer(weights, index) for index in range(config.num_hidden_layers)]
        shape = (2, len(self._layers), rows, self._heads, max_tokens, self._head_size)
        self._cache = torch.zeros(shape, dtype=dtype)
        self._cos, self._sin = _rotary_tables(model, max_tokens, dtype)
        self._length = 0

    @torch.no_grad()
    def logits(self, ids: Tensor) -> Tensor:
        """Append ids [rows, tokens] to every row; logits [rows, vocab] after the last, in fp32."""
        hidden = functional.embedding(ids, self._embedding)
        end = self._length + ids.shape[1]
        for index, layer in enumerate(self._layers):
            normed = self._norm(hidden, layer.attention_norm)
            hidden = hidden + self._attend(index, layer, normed, end)
            normed = self._norm(hidden, layer.mlp_norm)
            gate, up = functional.linear(normed, layer.gate_up).chunk(2, dim=-1)
            hidden = hidden + functional.linear(functional.silu(gate) * up, layer.down)
        self._length = end
        wanted = self._norm(hidden[:, -1], self._final_norm)
        return functional.linear(wanted, self._output).float()

    def _norm(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(hidden, (hidden.shape[-1],), weight, self._eps)

    def _attend(self, index: int, layer: _Layer, normed: Tensor, end: int) -> Tensor:
        rows, tokens, _ = normed.shape
        packed = functional.linear(normed, layer.query_key_value)
        packed = packed.view(rows, tokens, 3, self._heads, self._head_size)
        query, key, value = packed.permute(2, 0, 3, 1, 4)  # each [rows, heads, tokens, head]
        span = slice(self._length, end)
        keys, values = self._cache[0, index], self._cache[1, index]
        keys[:, :, span] = self._rotate(key, span)
        values[:, :, span] = value
        mixed = functional.scaled_dot_product_attention(
            self._rotate(query, span),
            keys[:, :, :end],
            values[:, :, :end],
            attn_mask=_causal_mask(tokens, end),
        )
        return functional.linear(mixed.transpose(1, 2).flatten(2), layer.output)

    def _rotate(self, heads: Tensor, span: slice) -> Tensor:
        first, second = heads.chunk(2, dim=-1)
        turned = torch.cat((-second, first), dim=-1)
        return heads * self._cos[span] + turned * self._sin[span]


class _Layer:
    """One layer's matrices, those that share an input packed into one."""

    def __init__(self, weights: dict[str, Tensor], index: int) -> None:
        prefix = f"model.layers.{index}."
        attention, mlp = prefix + "self_attn.", prefix + "mlp."
        self.attention_norm = weights[prefix + "input_layernorm.weight"]
        self.mlp_norm = weights[prefix + "post_attention_layernorm.weight"]
        self.query_key_value = torch.cat([weights[f"{attention}{letter}_proj.weight"] for letter in "qkv"])
        self.output = weights[attention + "o_proj.weight"]
        self.gate_up = torch.cat([weights[f"{mlp}{name}_proj.weight"] for name in ("gate", "up")])
        self.down = weights[mlp + "down_proj.weight"]


def continue_rows(
    model: LlamaForCausalLM,
    prompts: Tensor,  # [rows, prompt tokens], int64
    new_tokens: int,
    choose: Choose,
    *,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Continue every row by `new_tokens` ids; returns [rows, new_tokens].  Ignores end of text."""
    rows, prompt_tokens = prompts.shape
    decoder = RowDecoder(model, rows=rows, max_tokens=prompt_tokens + new_tokens, dtype=dtype)
    logits = decoder.logits(prompts)
    chosen = []
    for step in range(new_tokens):
        ids = choose(logits)
        chosen.append(ids)
        if step + 1 < new_tokens:
            logits = decoder.logits(ids[:, None])
    return torch.stack(chosen, dim=1)


def sample_at(temperatures: Sequence[float] | Tensor, generator: torch.Generator) -> Choose:
    """Draw each row at its own temperature; 0 is greedy."""
    scale = torch.as_tensor(temperatures, dtype=torch.float32)[:, None]

    def choose(logits: Tensor) -> Tensor:
        exponential = torch.empty_like(logits).exponential_(generator=generator)
        return (logits - scale * exponential.log()).argmax(dim=-1)  # Gumbel-max

    return choose


def _causal_mask(tokens: int, end: int) -> Tensor | None:
    """Which of `end` keys each of the last `tokens` positions sees; None for all."""
    if tokens == 1:
        return None
    return torch.ones(tokens, end, dtype=torch.bool).tril(diagonal=end - tokens)


def _rotary_tables(model: LlamaForCausalLM, tokens: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    positions = torch.arange(tokens)[None]
    cos, sin = model.model.rotary_emb(torch.zeros(1), positions)
    return cos[0].to(dtype), sin[0].to(dtype)
