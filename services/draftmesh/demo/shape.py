"""The sizes of a demo model, known without loading it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from draftmesh.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """The sizes of a Llama with tied embeddings and as many key heads as query heads.

    Expansion keeps the head size and the vocabulary.
    """

    hidden_size: int
    layers: int
    intermediate_size: int
    heads: int
    head_size: int
    vocabulary_size: int

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer."""
        attention = 4 * self.hidden_size * self.heads * self.head_size
        return attention + 3 * self.hidden_size * self.intermediate_size + 2 * self.hidden_size

    @property
    def parameters(self) -> int:
        """Parameters of the whole model."""
        return self.layers * self.layer_parameters + self.hidden_size * (self.vocabulary_size + 1)

    def widened(self, factor: int) -> LlamaShape:
        """The same depth at `factor` times the width, heads and intermediate size."""
        return replace(
            self,
            hidden_size=self.hidden_size * factor,
            intermediate_size=self.intermediate_size * factor,
            heads=self.heads * factor,
        )

    def deepened(self, parameters: int) -> LlamaShape:
        """The same width with the fewest layers that make at least `parameters`."""
        shared = self.hidden_size * (self.vocabulary_size + 1)
        return replace(self, layers=math.ceil((parameters - shared) / self.layer_parameters))


def checkpoint_shape(folder: Path) -> LlamaShape:
    """The shape of the Llama checkpoint in `folder`."""
    return shape_of(json.loads((folder / "config.json").read_text()))


def shape_of(config: Mapping[str, object]) -> LlamaShape:
    """The shape that a ``config.json`` tells of; raises ConfigError if a size is missing."""
    return LlamaShape(
        hidden_size=integer_of(config, "hidden_size"),
        layers=integer_of(config, "num_hidden_layers"),
        intermediate_size=integer_of(config, "intermediate_size"),
        heads=integer_of(config, "num_attention_heads"),
        head_size=integer_of(config, "head_dim"),
        vocabulary_size=integer_of(config, "vocab_size"),
    )


def integer_of(config: Mapping[str, object], name: str) -> int:
    """A field of a ``config.json``; raises ConfigError if it is no integer."""
    value = config.get(name)
    if not isinstance(value, int):
        raise ConfigError(f"config.json has no integer {name}")
    return value
