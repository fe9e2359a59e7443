"""The proof, at start-up, that this model gives through the engine what it gives by itself.

1. One forward must call the attention hook exactly once in every layer, with the sliding window that the layer's
   configuration names; what the layers store is learned from it.
2. A text computed in chunks and a row alone, with a wrong draft verified and taken back in between, on blocks out of
   order, must give the logits of one whole forward of transformers with its own attention.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from draftmesh.core.errors import UnsupportedModelError
from draftmesh.engine.attention.backend import attention_backend
from draftmesh.engine.attention.register import ATTENTION_NAME, AttentionOptions
from draftmesh.engine.capabilities import expected_windows
from draftmesh.engine.config import AttentionName
from draftmesh.engine.decoders.decoder import Decoder
from draftmesh.engine.decoders.transformers_decoder import TransformersDecoder
from draftmesh.engine.kv_storage import KvShape, KvStorage
from draftmesh.engine.model_runner import ModelRunner
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
        """Zeros of the right shape, [rows, heads, value_size]."""
        self.calls[layer] += 1
        self.shapes[layer] = KvShape(key.shape[1], key.shape[2], value.shape[2])
        self.windows[layer] = options.window
        return query.new_zeros(query.shape[0], query.shape[1], value.shape[2])


def probe_layers(model: PreTrainedModel) -> tuple[KvShape, ...]:
    """What each layer stores for a token.

    Raises:
        UnsupportedModelError: a layer bypasses the hook, calls it more than once, or with another window.
    """
    probe = LayerProbe()
    try:
        TransformersDecoder(model).logits([0, 0], [0, 1], [1], probe)
    except Exception as error:  # anything may break in a model that was not made for this
        raise _refusal(model.config.model_type, f"its forward failed: {type(error).__name__}: {error}") from error
    windows = expected_windows(model.config)
    layers = range(len(windows))
    if probe.calls != Counter(layers):
        called = sum(probe.calls.values())
        raise _refusal(model.config.model_type, f"its {len(windows)} layers called the attention hook {called} times")
    if any(probe.windows[layer] != windows[layer] for layer in layers):
        raise _refusal(
            model.config.model_type, "its layers do not pass the sliding windows that its configuration names"
        )
    return tuple(probe.shapes[layer] for layer in layers)


@dataclass(frozen=True, slots=True)
class Proof:
    """A text, and what the model says to it by its own forward with transformers' own attention."""

    ids: list[int]
    logits: Tensor  # [tokens, vocab], float32
    model_type: str
    attention: AttentionName
    """Of the engine's way."""

    @classmethod
    def of(cls, model: PreTrainedModel, max_tokens: int, attention: AttentionName) -> Proof:
        """With a text of at most ``max_tokens``; the model's attention is the paged one before and after."""
        ids = _text(model, min(_TEXT_TOKENS, max_tokens))
        model.set_attn_implementation("eager")
        try:
            output = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False)
        finally:
            model.set_attn_implementation(ATTENTION_NAME)
        return cls(ids, output.logits[0].float(), model.config.model_type, attention)

    def difference(self, decoder: Decoder, shapes: tuple[KvShape, ...]) -> float:
        """How far the engine's way with ``decoder`` goes from the model's own, as a share of the largest logit."""
        paged = _paged_logits(decoder, shapes, self.attention, self.ids)
        return float((paged - self.logits).abs().max() / self.logits.abs().max().clamp_min(1e-6))

    def require(self, decoder: Decoder, shapes: tuple[KvShape, ...], *, quantized: bool = False) -> float:
        """The difference; ``quantized`` weights are another model than the proof's, and may be as far away as bfloat16.

        Raises:
            UnsupportedModelError: it is larger than the dtype's rounding explains.
        """
        difference = self.difference(decoder, shapes)
        rounding = torch.bfloat16 if quantized else decoder.dtype
        if not difference <= _TOLERANCE.get(rounding, _TOLERANCE[torch.bfloat16]):
            reason = f"its paged logits differ from its own by {difference:.1e} of the largest"
            raise _refusal(self.model_type, reason)
        return difference


def _paged_logits(decoder: Decoder, shapes: tuple[KvShape, ...], attention: AttentionName, ids: list[int]) -> Tensor:
    """All logits [tokens, vocab]: in chunks, with a wrong draft taken back, a stranger beside one, and a single row."""
    blocks = -(-len(ids) // _BLOCK_SIZE)
    storage = KvStorage(shapes, (2 * blocks + 1) * _BLOCK_SIZE, decoder.dtype, decoder.device)
    runner = ModelRunner(decoder, attention_backend(attention, storage, _BLOCK_SIZE))
    table = [2 * block + 1 for block in reversed(range(blocks))]
    first, second = len(ids) // 3, len(ids) // 2
    parts = [runner.run([PackedRows(ids[:first], 0, table, first)])]
    wrong = [ids[first], *reversed(ids[second:-1])][: len(ids) - first]
    runner.run([PackedRows(wrong, first, table, len(wrong))])
    parts.append(runner.run([PackedRows(ids[first:second], first, table, second - first)]))
    last = len(ids) - 1
    stranger = PackedRows([ids[-1]], 0, [0], 1)
    parts.append(runner.run([stranger, PackedRows(ids[second:last], second, table, last - second)])[1:])
    parts.append(runner.run([PackedRows(ids[last:], last, table, 1)]))
    return torch.cat(parts)


def _text(model: PreTrainedModel, length: int) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    rows = model.get_input_embeddings().weight.shape[0]
    drawn: list[int] = torch.randint(rows, (length,), generator=generator).tolist()
    return drawn


def _refusal(model_type: str, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"model type {model_type!r} is not supported: {reason}")
