"""The seam between a step's rows and the way in which they attend, and the choice of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from draftmesh.core.errors import ConfigError
from draftmesh.engine.attention.register import AttentionContext
from draftmesh.engine.attention.sdpa_ragged import SdpaRagged
from draftmesh.engine.attention.varlen_paged import VarlenKernel, VarlenPaged
from draftmesh.engine.config import AttentionName
from draftmesh.engine.kv_storage import KvStorage
from draftmesh.engine.packing import PackedRows


class AttentionBackend(Protocol):
    """Attends over one KV storage."""

    def context(self, batch: Sequence[PackedRows]) -> AttentionContext:
        """What all layers of one step share; its rows are packed sequence after sequence."""


def attention_backend(name: AttentionName, storage: KvStorage, block_size: int) -> AttentionBackend:
    """The backend of that name.

    Raises:
        ConfigError: this torch does not have its kernel.
    """
    if name == "sdpa_ragged":
        return SdpaRagged(storage, block_size)
    return VarlenPaged(storage, block_size, _flash_kernel())


def _flash_kernel() -> VarlenKernel:
    try:
        from draftmesh.engine.attention.varlen_kernels import FlashKernel  # noqa: PLC0415 (newer than the oldest torch)
    except ImportError as error:
        raise ConfigError(f"attention varlen_paged needs a newer torch: {error}") from error
    return FlashKernel.active()
