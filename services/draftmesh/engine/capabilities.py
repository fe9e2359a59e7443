"""The gate: models that the engine would run wrongly are refused by name, before their weights are loaded.

Transformers accepts any attention name for some models and then ignores it (BLOOM), raises a bare KeyError for others
(Falcon), or has no attention at all (Mamba). What the gate cannot read from a configuration, the self-test measures.
"""

from __future__ import annotations

from collections.abc import Mapping

from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from draftmesh.core.errors import ConfigError, UnsupportedModelError

_LAYER_TYPES = frozenset({"full_attention", "sliding_attention"})
_STRETCHING_ROPE = frozenset({"dynamic", "longrope"})  # their frequencies depend on the longest sequence of a batch


def model_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class that transformers would build for causal language modelling.

    Raises:
        UnsupportedModelError: there is none, or it does not use the attention interface.
    """
    mapping = AutoModelForCausalLM._model_mapping
    if type(config) not in mapping:
        raise _refusal(config, "transformers has no causal language model for it")
    found = mapping[type(config)]
    check_class(config, found)
    return found  # type: ignore[no-any-return]  # transformers is untyped


def check_class(config: PreTrainedConfig, found: type[PreTrainedModel]) -> None:
    """Raise :class:`UnsupportedModelError` unless the class takes attention functions by name."""
    if not found.is_backend_compatible():
        raise _refusal(config, f"{found.__name__} does not use transformers' attention interface")


def check_config(config: PreTrainedConfig) -> None:
    """Raise :class:`UnsupportedModelError` if the configuration asks for what the engine does not do."""
    text = config.get_text_config()
    for reason in (_wrong_kind(text), _wrong_layers(text), _wrong_attention(text)):
        if reason:
            raise _refusal(config, reason)


def context_tokens(config: PreTrainedConfig, limit: int) -> int:
    """Tokens of one sequence that the model can work with; ``limit`` 0 asks for as many as it can.

    Raises:
        UnsupportedModelError: the limit goes beyond what the model's positions allow.
        ConfigError: the model does not say, and there is no limit.
    """
    text = config.get_text_config()
    own = getattr(text, "max_position_embeddings", None)
    own = int(own) if own else None
    unstretched = _unstretched_context(text)
    known = [length for length in (own, unstretched) if length is not None]
    if limit and known and limit > min(known):
        reason = "positions there would depend on the rest of the batch" if unstretched else "it has no positions there"
        raise _refusal(config, f"a context of {limit} tokens is beyond {min(known)}: {reason}")
    if not limit and not known:
        raise ConfigError(f"model type {config.model_type} does not name its context: set max_context_tokens")
    return limit or min(known)


def expected_windows(config: PreTrainedConfig) -> tuple[int | None, ...]:
    """The sliding window that each layer must be called with, in order of layers."""
    text = config.get_text_config()
    layers = int(text.num_hidden_layers)
    window = getattr(text, "sliding_window", None)
    if getattr(text, "use_sliding_window", True) is False:
        window = None
    types = getattr(text, "layer_types", None)
    if types is None:
        return (window,) * layers
    return tuple(window if kind == "sliding_attention" else None for kind in types)


def _refusal(config: PreTrainedConfig, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"model type {config.model_type!r} is not supported: {reason}")


def _wrong_kind(text: PreTrainedConfig) -> str | None:
    if getattr(text, "is_encoder_decoder", False):
        return "it is an encoder-decoder"
    if getattr(text, "use_bidirectional_attention", False):
        return "its attention looks ahead"
    return None


def _wrong_layers(text: PreTrainedConfig) -> str | None:
    others = sorted(set(getattr(text, "layer_types", None) or ()) - _LAYER_TYPES)
    return f"it has layers of type {', '.join(others)}" if others else None


def _wrong_attention(text: PreTrainedConfig) -> str | None:
    if getattr(text, "alibi", False):
        return "it tells positions by ALiBi"
    if getattr(text, "attention_chunk_size", None):
        return "its attention is chunked"
    return None


def _unstretched_context(text: PreTrainedConfig) -> int | None:
    """Up to where rotary frequencies are fixed; None: everywhere."""
    parameters = getattr(text, "rope_parameters", None) or {}
    nested = [value for value in parameters.values() if isinstance(value, Mapping)]
    bounds = []
    for rope in nested or [parameters]:
        if rope.get("rope_type") in _STRETCHING_ROPE:
            original = rope.get("original_max_position_embeddings")
            original = original or getattr(text, "original_max_position_embeddings", None)
            bounds.append(int(original or text.max_position_embeddings))
    return min(bounds, default=None)
