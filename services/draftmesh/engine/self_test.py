"""The proof, at start-up, that this model gives through the engine what it gives by itself.

1. One forward must call the attention hook exactly once in every layer, with the sliding window that the layer's
   configuration names; what the layers store is learned from it.
2. A text computed in chunks, with a wrong draft verified and taken back in between, on blocks out of order, must give
   the logits of one whole forward with the model's own attention.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor
from transformers import PreTrainedModel

from draftmesh.core.errors import UnsupportedModelError
from draftmesh.engine.attention.register import ATTENTION_NAME, AttentionOptions
from draftmesh.engine.capabilities import expected_windows
from draftmesh.engine.kv_storage import KvShape, KvStorage
from draftmesh.engine.model_runner import ModelRunner, forward
from draftmesh.engine.packing import PackedRows

_TEXT_TOKENS = 24
_BLOCK_SIZE = 4
_TOLERANCE = {torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1e-1}  # of the largest logit


class LayerProbe:
    """An attention context that computes nothing and takes notes."""

    def __init__(self) -> None:
        self.calls: Counter[int] = Counter()
        self.shapes: dict[int, KvShape] = {}
        self.windows: dict[int, int | None] = {}

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions) -> Tensor:
        """Zeros of the right shape, [1, rows, heads, value_size]."""
        self.calls[layer] += 1
        self.shapes[layer] = KvShape(key.shape[1], key.shape[3], value.shape[3])
        self.windows[layer] = options.window
        return query.new_zeros(1, query.shape[2], query.shape[1], value.shape[3])


def probe_layers(model: PreTrainedModel) -> tuple[KvShape, ...]:
    """What each layer stores for a token.

    Raises:
        UnsupportedModelError: a layer bypasses the hook, calls it more than once, or with another window.
    """
    probe = LayerProbe()
    try:
        forward(model, [0, 0], [0, 1], [1], probe)
    except Exception as error:  # anything may break in a model that was not made for this
        raise _refusal(model, f"its forward failed: {type(error).__name__}: {error}") from error
    windows = expected_windows(model.config)
    layers = range(len(windows))
    if probe.calls != Counter(layers):
        called = sum(probe.calls.values())
        raise _refusal(model, f"its {len(windows)} layers called the attention hook {called} times")
    if any(probe.windows[layer] != windows[layer] for layer in layers):
        raise _refusal(model, "its layers do not pass the sliding windows that its configuration names")
    return tuple(probe.shapes[layer] for layer in layers)


def own_logits(model: PreTrainedModel, ids: list[int]) -> Tensor:
    """Logits [tokens, vocab] of one plain forward with transformers' own attention; leaves the paged one in place."""
    model.set_attn_implementation("eager")
    try:
        output = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False)
        logits: Tensor = output.logits[0]
        return logits.float()
    finally:
        model.set_attn_implementation(ATTENTION_NAME)


def prove_paged_logits(model: PreTrainedModel, shapes: tuple[KvShape, ...], max_tokens: int) -> float:
    """Compare the engine's way with the model's own; the largest difference, as a share of the largest logit.

    Raises:
        UnsupportedModelError: they differ by more than the dtype's rounding explains.
    """
    ids = _text(model, min(_TEXT_TOKENS, max_tokens))
    own = own_logits(model, ids)
    paged = _paged_logits(model, shapes, ids)
    difference = float((paged - own).abs().max() / own.abs().max().clamp_min(1e-6))
    if not difference <= _TOLERANCE.get(model.dtype, _TOLERANCE[torch.bfloat16]):
        raise _refusal(model, f"its paged logits differ from its own by {difference:.1e} of the largest")
    return difference


def _paged_logits(model: PreTrainedModel, shapes: tuple[KvShape, ...], ids: list[int]) -> Tensor:
    """All logits [tokens, vocab]: in two chunks, a wrong draft, its rollback, and the rest beside a stranger."""
    blocks = -(-len(ids) // _BLOCK_SIZE)
    storage = KvStorage(shapes, (2 * blocks + 1) * _BLOCK_SIZE, model.dtype, model.device)
    runner = ModelRunner(model, storage, _BLOCK_SIZE)
    table = [2 * block + 1 for block in reversed(range(blocks))]
    first, second = len(ids) // 3, len(ids) // 2
    parts = [runner.run([PackedRows(ids[:first], 0, table, first)])]
    wrong = [ids[first], *reversed(ids[second:-1])][: len(ids) - first]
    runner.run([PackedRows(wrong, first, table, len(wrong))])
    parts.append(runner.run([PackedRows(ids[first:second], first, table, second - first)]))
    stranger = PackedRows([ids[-1]], 0, [0], 1)
    rest = len(ids) - second
    parts.append(runner.run([stranger, PackedRows(ids[second:], second, table, rest)])[1:])
    return torch.cat(parts)


def _text(model: PreTrainedModel, length: int) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    rows = model.get_input_embeddings().weight.shape[0]
    drawn: list[int] = torch.randint(rows, (length,), generator=generator).tolist()
    return drawn


def _refusal(model: PreTrainedModel, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"model type {model.config.model_type!r} is not supported: {reason}")
