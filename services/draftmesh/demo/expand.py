"""Function-preserving expansion: a bigger Llama that says exactly what a small one says.

Benchmarks need a target whose cost is that of a large model, without a large model's download. The
small weights sit in one corner of every larger matrix (after Net2Net, Chen et al. 2016, arXiv
1511.05641). What is new is random, so that its cost is real, but for the matrices that write into
the residual stream: there it is zero, so new channels stay zero and new heads, units and layers add
nothing. RMSNorm then averages over more channels: its weights shrink by sqrt(small / big) and its
epsilon by small / big, which cancels that exactly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from draftmesh.core.errors import ConfigError
from draftmesh.demo.shape import LlamaShape, integer_of, shape_of

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
_RANDOM_BLOCK = 1 << 20


def expand_checkpoint(source: Path, destination: Path, shape: LlamaShape, dtype: torch.dtype = torch.float32) -> None:
    """Write at `destination` the checkpoint of folder `source` expanded to `shape`, in `dtype`.

    Raises ConfigError if the source is no Llama with tied embeddings and full attention heads,
    if `shape` is smaller than it in any size or
    if its width is no multiple of its heads.
    """
    config = json.loads((source / "config.json").read_text())
    _require_expandable(config, shape)
    weights = load_file(source / "model.safetensors")
    expander = _Expander(config, shape, dtype)
    destination.mkdir(parents=True, exist_ok=True)
    save_file(expander.expand(weights), destination / "model.safetensors", {"format": "pt"})
    (destination / "config.json").write_text(json.dumps(expander.config(), indent=2) + "\n")
    for name in _TOKENIZER_FILES:
        (destination / name).write_bytes((source / name).read_bytes())


class _Expander:
    """Expands the weights of one checkpoint."""

    def __init__(self, config: Mapping[str, object], shape: LlamaShape, dtype: torch.dtype) -> None:
        self._config = dict(config)
        self._shape = shape
        self._dtype = dtype
        self._small = shape_of(config)
        noise = torch.rand(_RANDOM_BLOCK, generator=torch.Generator().manual_seed(3))
        self._noise = ((noise - 0.5) * (2.0 / math.sqrt(shape.hidden_size))).to(dtype)
        self._channel_share = self._small.hidden_size / shape.hidden_size

    def config(self) -> dict[str, object]:
        """The expanded model's config.json."""
        eps = self._config["rms_norm_eps"]
        if not isinstance(eps, float):
            raise ConfigError("rms_norm_eps of the small model is not a number")
        return self._config | {
            "hidden_size": self._shape.hidden_size,
            "num_hidden_layers": self._shape.layers,
            "intermediate_size": self._shape.intermediate_size,
            "num_attention_heads": self._shape.heads,
            "num_key_value_heads": self._shape.heads,
            "rms_norm_eps": eps * self._channel_share,
            "dtype": str(self._dtype).removeprefix("torch."),
        }

    def expand(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All tensors of the expanded model, by their name in the checkpoint."""
        embedding = weights["model.embed_tokens.weight"]
        vocabulary_size, hidden = embedding.shape[0], self._shape.hidden_size
        expanded = {
            "model.embed_tokens.weight": self._zero_padded(embedding, vocabulary_size, hidden),
            "model.norm.weight": self._norm(weights["model.norm.weight"]),
        }
        for layer in range(self._shape.layers):
            expanded.update(self._layer(weights, f"model.layers.{layer}."))
        return expanded

    def _layer(self, weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
        hidden, inner = self._shape.hidden_size, self._shape.intermediate_size
        heads = self._shape.heads * self._small.head_size
        readers = {
            "self_attn.q_proj": (heads, hidden),
            "self_attn.k_proj": (heads, hidden),
            "self_attn.v_proj": (heads, hidden),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
        }
        writers = {"self_attn.o_proj": (hidden, heads), "mlp.down_proj": (hidden, inner)}
        tensors: dict[str, Tensor] = {}
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[name] = self._norm(weights.get(f"{prefix}{name}.weight"))
        for name, (rows, columns) in readers.items():
            tensors[name] = self._randomly_padded(weights.get(f"{prefix}{name}.weight"), rows, columns)
        for name, (rows, columns) in writers.items():
            tensors[name] = self._zero_padded(weights.get(f"{prefix}{name}.weight"), rows, columns)
        return {f"{prefix}{name}.weight": tensor for name, tensor in tensors.items()}

    def _norm(self, small: Tensor | None) -> Tensor:
        """Norm weights [hidden]; those of new channels multiply zeros and may be anything."""
        expanded = torch.ones(self._shape.hidden_size)
        if small is not None:
            expanded[: len(small)] = small.float() * math.sqrt(self._channel_share)
        return expanded.to(self._dtype)

    def _randomly_padded(self, small: Tensor | None, rows: int, columns: int) -> Tensor:
        """[rows, columns]: one random block over and over, which is enough to cost real time."""
        repeats = -(-rows * columns // _RANDOM_BLOCK)
        expanded = self._noise.repeat(repeats)[: rows * columns].view(rows, columns)
        return _with_corner(expanded, small)

    def _zero_padded(self, small: Tensor | None, rows: int, columns: int) -> Tensor:
        return _with_corner(torch.zeros(rows, columns, dtype=self._dtype), small)


def _with_corner(expanded: Tensor, small: Tensor | None) -> Tensor:
    if small is not None:
        expanded[: small.shape[0], : small.shape[1]] = small
    return expanded


def _require_expandable(config: Mapping[str, object], shape: LlamaShape) -> None:
    small = shape_of(config)
    if config.get("model_type") != "llama" or not config.get("tie_word_embeddings"):
        raise ConfigError("only a Llama with tied embeddings can be expanded")
    if small.heads != integer_of(config, "num_key_value_heads"):
        raise ConfigError("a model with grouped key heads cannot be expanded")
    if config.get("attention_bias") or config.get("mlp_bias"):
        raise ConfigError("a model with biases cannot be expanded")
    if (
        shape.hidden_size < small.hidden_size
        or shape.layers < small.layers
        or shape.intermediate_size < small.intermediate_size
        or shape.heads < small.heads
    ):
        raise ConfigError(f"{shape} is smaller than the model to expand, {small}")
    if shape.hidden_size % shape.heads:
        raise ConfigError(f"width {shape.hidden_size} is no multiple of {shape.heads} heads")
    if (shape.head_size, shape.vocabulary_size) != (small.head_size, small.vocabulary_size):
        raise ConfigError("expansion changes neither the head size nor the vocabulary")
