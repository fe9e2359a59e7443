"""What an operator may choose about an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_at_least

DtypeName = Literal["auto", "float32", "bfloat16", "float16"]
AttentionName = Literal["sdpa_ragged", "varlen_paged"]
AttentionChoice = Literal["auto", AttentionName]
QuantizationName = Literal["int8", "bitsandbytes-8bit", "bitsandbytes-4bit"]

_CPU_STEP_ROWS = 64
_DEVICE_STEP_ROWS = 1024


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """One model and the resources that its batch engine may use."""

    model: str
    """Folder of a transformers model, or its name on a model hub."""

    dtype: DtypeName = "auto"
    """Number format of weights and KV; ``auto`` is float32 on a CPU and the checkpoint's own elsewhere."""

    device: str = "cpu"
    """torch device: ``cpu``, ``cuda``, ``cuda:1``."""

    threads: int = 0
    """CPU threads of the engine's forward; 0 leaves torch's default."""

    quantization: QuantizationName | None = None
    """Quantise the weights while loading, which makes another model of them; None leaves them as they are.

    ``int8`` is our own and for a CPU; the others need a CUDA device and the named library.
    """

    attention: AttentionChoice = "auto"
    """How rows attend: ``sdpa_ragged`` anywhere, ``varlen_paged`` on a CUDA device: one kernel call for all sequences.

    ``auto`` is the one made for the device.
    """

    step_graphs: bool = True
    """With ``varlen_paged``, replay steps with few rows as CUDA graphs: launched at once, not operation by operation.

    They are recorded at start-up; where a model cannot be recorded, a warning says so.
    """

    block_size_tokens: int = 16
    """Tokens in a KV block: the unit of allocation and of prefix sharing."""

    kv_cache_tokens: int = 16_384
    """Tokens that the KV pool holds, over all sequences; rounded down to whole blocks."""

    token_budget_tokens: int = 0
    """Rows of one step at most; longer prompts are computed in chunks.

    0 chooses by the device: 64 on a CPU, where a step takes as long as it has rows and everyone waits for the longest
    chunk; 1024 elsewhere, where fewer rows leave the device idle.
    """

    prefix_cache: bool = True
    """Whether sequences that begin alike share KV blocks, also with those that have ended, while their room lasts."""

    max_sequences: int = 64
    """Open sequences at most."""

    max_context_tokens: int = 0
    """Tokens of one sequence at most, prompt included; 0 takes the model's own context."""

    packed_linear: bool = True
    """On a CPU, repack the weights of linear layers where that is measured to be faster for several rows.

    The plain weights stay beside them where those are faster for few rows: then weights take twice their memory.
    """

    fused_layers: bool = True
    """Compute models of known families by our own forward, which calls fewer operations."""

    def validate(self) -> None:
        """Raise :class:`ConfigError`, naming the field, if a value is outside its range."""
        if not self.model:
            raise ConfigError("model must name a folder or a model")
        if self.dtype not in get_args(DtypeName):
            raise ConfigError(f"dtype must be one of {', '.join(get_args(DtypeName))}, got {self.dtype}")
        if self.quantization is not None and self.quantization not in get_args(QuantizationName):
            raise ConfigError(f"quantization must be one of {', '.join(get_args(QuantizationName))}")
        if self.quantization == "int8" and self.device_type != "cpu":
            raise ConfigError("quantization int8 needs the device cpu")
        if self.attention not in get_args(AttentionChoice):
            raise ConfigError(f"attention must be one of {', '.join(get_args(AttentionChoice))}, got {self.attention}")
        if self.attention == "varlen_paged" and self.device_type != "cuda":
            raise ConfigError("attention varlen_paged needs the device cuda")
        require_at_least(0, self, "threads", "max_context_tokens", "token_budget_tokens")
        require_at_least(1, self, "block_size_tokens", "max_sequences")
        require_at_least(2 * self.block_size_tokens, self, "kv_cache_tokens")

    @property
    def device_type(self) -> str:
        """``device`` without its number."""
        return self.device.partition(":")[0]

    @property
    def attention_name(self) -> AttentionName:
        """``attention``, or what ``auto`` stands for."""
        if self.attention == "auto":
            return "varlen_paged" if self.device_type == "cuda" else "sdpa_ragged"
        return self.attention

    @property
    def records_steps(self) -> bool:
        """Whether steps are to be replayed as graphs."""
        return self.step_graphs and self.attention_name == "varlen_paged"

    @property
    def step_rows(self) -> int:
        """Rows of one step at most: ``token_budget_tokens``, or what 0 stands for."""
        chosen = _CPU_STEP_ROWS if self.device_type == "cpu" else _DEVICE_STEP_ROWS
        return self.token_budget_tokens or chosen

    @property
    def kv_blocks(self) -> int:
        """Whole blocks in the KV pool."""
        return self.kv_cache_tokens // self.block_size_tokens
