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
        ConfigError: Triton, in which its kernel is written, is not installed.
    """
    if name == "sdpa_ragged":
        return SdpaRagged(storage, block_size)
    return VarlenPaged(storage, block_size, _paged_kernel())


def _paged_kernel() -> VarlenKernel:
    try:
        from draftmesh.engine.attention.paged_kernel import PagedKernel  # noqa: PLC0415 (CPU builds of torch lack triton)
    except ImportError as error:
        raise ConfigError(
            f"attention varlen_paged needs Triton, which CUDA builds of torch bring along: {error}"
        ) from error
    return PagedKernel()
