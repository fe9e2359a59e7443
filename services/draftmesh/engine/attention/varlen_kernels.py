"""The kernel of ``varlen_paged``: torch's variable-length attention, which is FlashAttention.

Where version 3 is active, it reads keys and values through block tables, and without splitting a sequence, so that no
row depends on what else is in the batch. Version 2 knows no block tables: blocks are gathered first. Both want half
precision.

Never run on a GPU yet, and hence never chosen by itself: what leads to them is proved on a CPU with a kernel of the
same meaning, and ``tests/unit/engine/test_cuda.py`` compares them with the reference where there is a device.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.attention import current_flash_attention_impl
from torch.nn.attention.varlen import varlen_attn

from draftmesh.engine.attention.varlen_paged import VarlenStep


@dataclass(frozen=True, slots=True)
class FlashKernel:
    """Satisfies :class:`draftmesh.engine.attention.varlen_paged.VarlenKernel`."""

    reads_block_tables: bool
    """As FlashAttention 3 does; else blocks are gathered, sequence after sequence."""

    @classmethod
    def active(cls) -> FlashKernel:
        """The one that torch has; version 3, if the process has activated that."""
        return cls(reads_block_tables=current_flash_attention_impl() == "FA3")

    def __call__(
        self,
        query: Tensor,  # [rows, heads, size]
        keys: Tensor,  # [blocks, block size, kv_heads, size]
        values: Tensor,  # [blocks, block size, kv_heads, size]
        step: VarlenStep,
        *,
        scale: float,
        window: int | None,
    ) -> Tensor:  # [rows, heads, size]
        """One call for all sequences."""
        if not self.reads_block_tables:
            keys, values = (part[step.block_tables.flatten()].flatten(0, 1) for part in (keys, values))
        out = varlen_attn(
            query,
            keys,
            values,
            step.query_starts,
            None if self.reads_block_tables else step.gathered_starts,
            step.most_rows,
            step.most_kv,
            scale=scale,
            window_size=_window_size(window),
            enable_gqa=True,
            seqused_k=step.kv_lengths,
            block_table=step.block_tables if self.reads_block_tables else None,
            num_splits=1 if self.reads_block_tables else None,
        )
        assert isinstance(out, Tensor), "nothing else was asked for"
        return out


def _window_size(window: int | None) -> tuple[int, int]:
    """Positions before and after its own that a row sees."""
    return (-1 if window is None else window - 1, 0)
