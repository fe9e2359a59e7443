"""Small steps as graphs: recorded once for each number of rows, and replayed by one call.

A step with few rows is, on a GPU, mostly the price of launching its kernels. A graph is launched at once, but reads and
writes the same memory each time. So what differs from step to step (ids, positions, where the KV lies) is copied into
tensors that never move, and the rows are filled up to the next number that there is a graph for. Those that fill it up
are a sequence of their own, whose KV lies in blocks that no other sequence ever has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from draftmesh.engine.attention.varlen_paged import VarlenPaged, VarlenStep, varlen_step
from draftmesh.engine.decoders.decoder import RecordableDecoder
from draftmesh.engine.model_runner import Runner, flatten
from draftmesh.engine.packing import PackedRows

GRAPH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Numbers of rows that there are graphs for; a step with more is computed operation by operation."""

_HOST = torch.device("cpu")


class StepGraph(Protocol):
    """A recorded computation."""

    @property
    def output(self) -> Tensor:
        """Where :meth:`replay` leaves its result."""

    def replay(self) -> None:
        """Compute again, from what the tensors hold by now that were read while it was recorded."""


Recorder = Callable[[Callable[[], Tensor]], StepGraph]
"""Runs a computation, perhaps several times, and records it."""


class GraphInputs:
    """What steps of up to ``rows`` rows read."""

    def __init__(
        self, rows: int, *, most_blocks: int, block_size: int, spare: Sequence[int], device: torch.device
    ) -> None:
        """Of sequences that have up to ``most_blocks`` blocks; the blocks ``spare`` are for rows that fill up."""
        self.rows = rows
        self._block_size = block_size
        self._spare = spare
        integers, sequences = partial(torch.zeros, dtype=torch.int32, device=device), rows + 1
        columns = max(most_blocks, len(spare))  # rows that fill up may be more than a sequence has room for
        self.ids = torch.zeros(rows, dtype=torch.int64, device=device)
        self.positions = torch.zeros(rows, dtype=torch.int64, device=device)
        self.layout = VarlenStep(
            write_slots=torch.zeros(rows, dtype=torch.int64, device=device),
            query_starts=integers(sequences + 1),
            kv_lengths=integers(sequences),
            most_kv=columns * block_size,
            block_tables=integers(sequences, columns),
        )
        self.fill(())

    def fill(self, batch: Sequence[PackedRows]) -> list[int]:
        """Take in a step, which has ``rows`` rows at most; the indices of those whose logits are wanted."""
        missing = self.rows - sum(rows.count for rows in batch)
        filled = [*batch, *([PackedRows([0] * missing, 0, self._spare, 0)] if missing else ())]
        ids, positions, wanted = flatten(filled)
        self.ids.copy_(torch.tensor(ids))
        self.positions.copy_(torch.tensor(positions))
        self._lay_out(varlen_step(filled, self._block_size, _HOST), len(filled))
        return wanted

    def _lay_out(self, step: VarlenStep, sequences: int) -> None:
        """Sequences beyond these have no rows."""
        layout = self.layout
        layout.write_slots.copy_(step.write_slots)
        layout.query_starts[: sequences + 1].copy_(step.query_starts)
        layout.query_starts[sequences + 1 :].fill_(self.rows)
        layout.kv_lengths[:sequences].copy_(step.kv_lengths)
        layout.kv_lengths[sequences:].zero_()
        layout.block_tables[:sequences, : step.block_tables.shape[1]].copy_(step.block_tables)


class GraphRunner:
    """Satisfies :class:`draftmesh.engine.model_runner.Runner`.

    Args:
        eager: Computes steps that there is no graph for.
        decoder: The model.
        attention: Over a storage that has the blocks ``spare`` beyond those of the pool.
        sizes: Numbers of rows to record, rising.
        most_blocks: Of a sequence.
        spare: Blocks for as many rows as the largest size has.
        record: Records a graph.
    """

    def __init__(
        self,
        eager: Runner,
        decoder: RecordableDecoder,
        attention: VarlenPaged,
        *,
        sizes: Sequence[int],
        most_blocks: int,
        spare: Sequence[int],
        record: Recorder,
    ) -> None:
        self._eager = eager
        self._graphs: list[tuple[GraphInputs, StepGraph]] = []
        for rows in sizes:
            inputs = GraphInputs(
                rows, most_blocks=most_blocks, block_size=attention.block_size, spare=spare, device=decoder.device
            )
            context = attention.context_of(inputs.layout)
            self._graphs.append((inputs, record(partial(decoder.all_logits, inputs.ids, inputs.positions, context))))

    def run(self, batch: Sequence[PackedRows]) -> Tensor:
        """Store the KV of all rows; logits [wanted rows, vocab] in float32, sequence after sequence."""
        count = sum(rows.count for rows in batch)
        for inputs, graph in self._graphs:
            if count <= inputs.rows:
                wanted = inputs.fill(batch)
                graph.replay()
                indices = torch.tensor(wanted, dtype=torch.int64, device=graph.output.device)
                return graph.output.index_select(0, indices)
        return self._eager.run(batch)
