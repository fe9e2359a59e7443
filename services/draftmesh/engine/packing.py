"""What a step hands to the model: rows of many sequences, as ids and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Consecutive rows of one sequence, and the blocks where its KV is."""

    token_ids: Sequence[int]
    """The tokens to compute; never empty."""

    start: int
    """Position of the first one; KV of all positions before it is valid."""

    block_table: Sequence[int]
    """Block ids by position; at least enough for ``end`` tokens."""

    wanted: int
    """How many of the last rows are to give logits; 0 in the middle of a prompt."""

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.token_ids)

    @property
    def end(self) -> int:
        """The position behind the last row."""
        return self.start + len(self.token_ids)
