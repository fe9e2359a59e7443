"""A runner without a model: it predicts token + 1, and notices when it is asked about KV that was never computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from draftmesh.engine.packing import PackedRows


class CountingRunner:
    """After token t comes t + 1 (modulo the vocabulary).

    It keeps, for each slot, the tokens that led up to it, so that a step that reads a block which somebody else has
    overwritten, or KV that was never stored, fails at once. So does writing a block that several sequences hold, as
    ``references`` tells.
    """

    def __init__(self, vocabulary_size: int, block_size: int, references: Callable[[int], int] = lambda _: 1) -> None:
        self.batches: list[list[PackedRows]] = []
        self.fails = False
        self._vocabulary_size = vocabulary_size
        self._block_size = block_size
        self._references = references
        self._prefixes: dict[int, tuple[int, ...]] = {}

    def run(self, batch: Sequence[PackedRows]) -> Tensor:
        """Logits of the wanted rows."""
        if self.fails:
            raise RuntimeError("the device is gone")
        self.batches.append(list(batch))
        return self.logits([prefix for rows in batch for prefix in self._run(rows)])

    def logits(self, prefixes: Sequence[tuple[int, ...]]) -> Tensor:
        """One-hot logits [rows, vocab], a row for each of ``prefixes``; subclasses predict something else."""
        best = [(prefix[-1] + 1) % self._vocabulary_size for prefix in prefixes]
        logits = torch.zeros(len(best), self._vocabulary_size)
        logits[torch.arange(len(best)), torch.tensor(best, dtype=torch.int64)] = 1.0
        return logits

    def _run(self, rows: PackedRows) -> list[tuple[int, ...]]:
        prefix = self._prefixes[self._slot(rows, rows.start - 1)] if rows.start else ()
        assert len(prefix) == rows.start, "KV of another position"
        for position in range(rows.start):
            assert self._prefixes[self._slot(rows, position)] == prefix[: position + 1], "KV of another text"
        for position, token in enumerate(rows.token_ids, rows.start):
            prefix = (*prefix, token)
            assert self._references(rows.block_table[position // self._block_size]) == 1, "a shared block was written"
            self._prefixes[self._slot(rows, position)] = prefix
        return [prefix[:end] for end in range(rows.end - rows.wanted + 1, rows.end + 1)]

    def _slot(self, rows: PackedRows, position: int) -> int:
        block = rows.block_table[position // self._block_size]
        return block * self._block_size + position % self._block_size
