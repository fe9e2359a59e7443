"""The one hook into transformers: an attention function by name, and no mask of that name.

Without a mask of the same name transformers builds none and passes ``attention_mask=None``; the rows' own limits
come with the call instead, as a keyword that every supported model hands through to its layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from transformers import AttentionInterface

from draftmesh.core.errors import UnsupportedModelError

ATTENTION_NAME = "draftmesh_paged"
CONTEXT_KEYWORD = "draftmesh_attention"


@dataclass(frozen=True, slots=True)
class AttentionOptions:
    """How one layer attends."""

    scaling: float
    """Factor on the products of queries and keys."""

    window: int | None
    """Positions that a row sees at most, its own included; None: all."""

    softcap: float | None
    """Scores are squashed to ±softcap by a hyperbolic tangent; None: not at all."""


class AttentionContext(Protocol):
    """What a forward's attention layers work on; passed to the model under ``CONTEXT_KEYWORD``."""

    def attend(
        self,
        layer: int,
        query: Tensor,  # [rows, heads, key_size]
        key: Tensor,  # [rows, kv_heads, key_size]
        value: Tensor,  # [rows, kv_heads, value_size]
        options: AttentionOptions,
    ) -> Tensor:  # [rows, heads, value_size]
        """Store the rows' keys and values, and attend."""


def register_attention() -> None:
    """Make :func:`paged_attention` known to transformers; calling again changes nothing."""
    AttentionInterface.register(ATTENTION_NAME, paged_attention)


def paged_attention(
    module: nn.Module,
    query: Tensor,  # [1, heads, rows, key_size]
    key: Tensor,  # [1, kv_heads, rows, key_size]
    value: Tensor,  # [1, kv_heads, rows, value_size]
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """The attention function of every layer of an engine's model.

    Raises:
        UnsupportedModelError: the layer asks for something that this attention would silently leave out.
    """
    context = kwargs.get(CONTEXT_KEYWORD)
    layer = getattr(module, "layer_idx", None)
    if context is None or not isinstance(layer, int):
        raise UnsupportedModelError(f"{type(module).__name__} does not hand the call's context to its attention")
    if attention_mask is not None or s_aux is not None or kwargs.get("is_causal") is False:
        what = "a mask of its own" if attention_mask is not None else "sinks" if s_aux is not None else "no causality"
        raise UnsupportedModelError(f"{type(module).__name__} asks its attention for {what}")
    options = AttentionOptions(query.shape[-1] ** -0.5 if scaling is None else scaling, sliding_window, softcap)
    attend: AttentionContext = context  # type: ignore[assignment]  # keyword arguments of a model are untyped
    query, key, value = (heads[0].transpose(0, 1) for heads in (query, key, value))
    return attend.attend(layer, query, key, value, options).unsqueeze(0), None
