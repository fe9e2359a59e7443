"""From a name to a model that the engine may run: gated, loaded, repacked, proved, and identified by its digest."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from pathlib import Path

import structlog
import torch
from torch import nn
from transformers import AutoConfig, BitsAndBytesConfig, PreTrainedConfig, PreTrainedModel

from draftmesh.core.errors import ConfigError
from draftmesh.engine.attention.register import ATTENTION_NAME, register_attention
from draftmesh.engine.capabilities import (
    check_class,
    check_config,
    context_tokens,
    expected_windows,
    model_class,
)
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.decoders.decoder import Decoder
from draftmesh.engine.decoders.families import can_fuse
from draftmesh.engine.decoders.fused import FusedDecoder, strip
from draftmesh.engine.decoders.transformers_decoder import TransformersDecoder
from draftmesh.engine.int8_linear import quantize_linear_layers
from draftmesh.engine.kv_storage import KvShape
from draftmesh.engine.linear_choice import measured_layout
from draftmesh.engine.packed_linear import PackingReport, can_pack, pack_linear_layers
from draftmesh.engine.self_test import Proof, probe_layers
from draftmesh.tokenization.hub import model_folder
from draftmesh.tokenization.loading import load_tokenizer
from draftmesh.tokenization.tokenizer import Tokenizer

_log = structlog.get_logger(__name__)

_CHUNK_BYTES = 1 << 22
_FUSED_TOLERANCE = {torch.float32: 1e-4, torch.float16: 3e-2, torch.bfloat16: 1e-1}  # of the largest logit
_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model")


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model that has passed the gate and the self-test."""

    decoder: Decoder
    kv_shapes: tuple[KvShape, ...]
    """What each layer stores for a token."""

    parameters: int
    """Number of weights."""

    vocab_rows: int
    """Columns of the logits; those beyond the tokenizer's vocabulary are padding."""

    context_tokens: int
    """Tokens of one sequence that the model can work with."""

    packing: PackingReport
    self_test_difference: float
    """Largest difference of paged and own logits, as a share of the largest logit."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A prepared model with its tokenizer and its name for good."""

    prepared: PreparedModel
    tokenizer: Tokenizer
    digest: bytes
    """Weights, dtype, quantization and tokenizer: two models of one digest say the same."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.prepared.decoder.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of weights and KV."""
        return self.prepared.decoder.dtype

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return self.prepared.parameters

    @property
    def context_tokens(self) -> int:
        """Tokens of one sequence that the model can work with."""
        return self.prepared.context_tokens

    @property
    def vocabulary_size(self) -> int:
        """Ids that are tokens both of the tokenizer and of the model."""
        return min(len(self.tokenizer.vocabulary), self.prepared.vocab_rows)


def load_model(config: EngineConfig) -> LoadedModel:
    """Load a model and its tokenizer from a folder or a hub.

    Raises:
        ConfigError: no such model, device or library.
        UnsupportedModelError: the gate or the self-test refused the model.
        UnsupportedTokenizerError: its tokenizer normalises or loses bytes.
    """
    folder = model_folder(config.model, _FILES)
    model_config = _read_config(folder)
    check_config(model_config)
    found = model_class(model_config)
    context_tokens(model_config, config.max_context_tokens)
    tokenizer = load_tokenizer(folder)
    register_attention()
    model = _load_weights(found, folder, model_config, config)
    digest = _digest(config, model.dtype, tokenizer, _hash_files(folder))
    prepared = prepare_model(model, config)
    _log.info(
        "model loaded",
        model=config.model,
        parameters=prepared.parameters,
        decoder=type(prepared.decoder).__name__,
        packing=prepared.packing,
        self_test_difference=prepared.self_test_difference,
    )
    return LoadedModel(prepared, tokenizer, digest)


def prepare_model(model: PreTrainedModel, config: EngineConfig) -> PreparedModel:
    """Gate, rewire, fuse, repack and prove a model; it must have a configuration object of its own.

    What is left of ``model`` afterwards is no model any more.

    Raises:
        ConfigError: its attention's kernel is not installed.
        UnsupportedModelError: the gate or the self-test refused it.
    """
    check_config(model.config)
    check_class(model.config, type(model))
    context = context_tokens(model.config, config.max_context_tokens)
    parameters, vocab_rows = model.num_parameters(), int(model.config.get_text_config().vocab_size)
    register_attention()
    if not _is_foreign(config):
        model.to(device=_device(config), dtype=_dtype(config) or model.dtype)
    model.eval().requires_grad_(requires_grad=False)
    model.set_attn_implementation(ATTENTION_NAME)
    with torch.inference_mode():
        shapes = probe_layers(model)
        proof = Proof.of(model, context, config.attention_name)
        decoder, layers = _decoder(model, config, context, shapes, proof)
        if config.quantization == "int8":
            proof.require(decoder, shapes)  # strictly, before its values change
        packing = _repack(layers, config)
        difference = proof.require(decoder, shapes, quantized=config.quantization == "int8")
    return PreparedModel(decoder, shapes, parameters, vocab_rows, context, packing, difference)


def _decoder(
    model: PreTrainedModel, config: EngineConfig, context: int, shapes: tuple[KvShape, ...], proof: Proof
) -> tuple[Decoder, nn.Module]:
    """What will compute the steps, and the module with its layers."""
    plain = TransformersDecoder(model)
    if not (config.fused_layers and can_fuse(model)):
        return plain, model
    fused = FusedDecoder(model, expected_windows(model.config), context)
    difference = proof.difference(fused, shapes)
    if not difference <= _FUSED_TOLERANCE.get(model.dtype, _FUSED_TOLERANCE[torch.bfloat16]):
        _log.warning("fused layers differ, so transformers' own are used", difference=difference)
        return plain, model
    strip(model)
    return fused, fused


def _repack(layers: nn.Module, config: EngineConfig) -> PackingReport:
    if config.quantization == "int8":
        return quantize_linear_layers(layers)
    if config.packed_linear and can_pack(layers):
        return pack_linear_layers(layers, measured_layout)
    return PackingReport(0, 0, 0)


def _is_foreign(config: EngineConfig) -> bool:
    """Whether a library has quantised the weights while loading."""
    return config.quantization not in (None, "int8")


def _read_config(folder: Path) -> PreTrainedConfig:
    try:
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} has no readable config.json: {error}") from error


def _load_weights(
    found: type[PreTrainedModel], folder: Path, model_config: PreTrainedConfig, config: EngineConfig
) -> PreTrainedModel:
    # Models that share a configuration object also share the name of their attention.
    own_config = copy.deepcopy(model_config)
    try:
        return found.from_pretrained(
            folder,
            config=own_config,
            dtype=_dtype(config) or "auto",
            attn_implementation=ATTENTION_NAME,
            use_safetensors=True,
            quantization_config=_quantization(config),
        )
    except (OSError, ImportError) as error:
        raise ConfigError(f"cannot load the weights of {folder}: {error}") from error


def _device(config: EngineConfig) -> torch.device:
    try:
        device = torch.device(config.device)
    except RuntimeError as error:
        raise ConfigError(f"{config.device} is no device: {error}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but this machine has none")
    return device


def _dtype(config: EngineConfig) -> torch.dtype | None:
    """None: the checkpoint's own."""
    if config.dtype == "auto":
        return torch.float32 if _device(config).type == "cpu" else None
    dtype: torch.dtype = getattr(torch, config.dtype)
    return dtype


def _quantization(config: EngineConfig) -> BitsAndBytesConfig | None:
    if not _is_foreign(config):
        return None
    if config.quantization == "bitsandbytes-8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)


def _digest(config: EngineConfig, dtype: torch.dtype, tokenizer: Tokenizer, weights: bytes) -> bytes:
    label = f"{dtype}|{config.quantization or ''}|"
    return hashlib.sha256(b"draftmesh model 1|" + label.encode() + weights + tokenizer.digest).digest()


def _hash_files(folder: Path) -> bytes:
    """sha256 over the weight files and the configuration, in order of their names."""
    total = hashlib.sha256()
    for path in [*sorted(folder.glob("*.safetensors")), folder / "config.json"]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                total.update(chunk)
    return total.digest()
