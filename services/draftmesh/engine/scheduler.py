"""What the next step computes.

There is no prefill, decode or verify phase, only one rule: every sequence has tokens to catch up (``goal``), and a
step takes as many as its token budget allows. Long prompts are cut into chunks; a draft is never cut from the row
before it, so a draft that does not fit waits. Nobody starves: who got nothing in one step comes first in the next.

KV blocks that run out are taken from others, who compute their KV again later: first from sequences that rest, then
from busy ones, the youngest first, but never from an older one. So the oldest busy sequence always proceeds: those
that are served go behind it in turn, until it comes first and may take what it needs from everybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from draftmesh.engine.packing import PackedRows
from draftmesh.engine.paging import Paging
from draftmesh.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Ready:
    """What a step could compute now."""

    sequences: int
    """With a request."""

    rows: int
    going_on: int
    """Sequences that are ready for the step after it too, whatever comes."""


@dataclass(frozen=True, slots=True)
class ScheduledRows:
    """Rows of one sequence in a step: positions ``start`` to ``start + count``."""

    seq: Sequence
    start: int
    count: int
    judged: bool
    """The rows reach the goal of a request: the last ``1 + len(draft)`` of them are judged."""

    def packed(self, vocabulary_size: int) -> PackedRows:
        """What the model needs to know of them.

        It sees token 0 in place of a draft token from ``vocabulary_size`` on, which it has no row for: that token can
        only be rejected, so the rows from it on are of no account, and their KV never counts.
        """
        seq = self.seq
        ids = seq.tokens[self.start : self.start + self.count]
        if not self.judged:
            return PackedRows(ids, self.start, seq.block_table, 0)
        draft = (token if 0 <= token < vocabulary_size else 0 for token in seq.draft)
        return PackedRows([*ids, *draft], self.start, seq.block_table, 1 + len(seq.draft))


class Scheduler:
    """Chooses the rows of each step within ``token_budget`` and sees to their blocks."""

    def __init__(self, paging: Paging, token_budget: int) -> None:
        self.token_budget = token_budget
        self.preemptions = 0
        self.waiting = 0
        """Sequences with work that the last step had no room for."""

        self._paging = paging
        self._sequences: dict[int, Sequence] = {}  # in turn: who was served moves to the end

    def add(self, seq: Sequence) -> None:
        """Take turns with the others from now on."""
        self._sequences[seq.sequence_id] = seq

    def remove(self, seq: Sequence) -> None:
        """Forget the sequence; its blocks are the caller's business."""
        self._sequences.pop(seq.sequence_id, None)

    @property
    def ready(self) -> Ready:
        """What the next step could compute, as far as its budget goes."""
        work = [seq for seq in self._sequences.values() if seq.first_row < seq.goal]
        rows = sum(seq.goal - seq.first_row for seq in work)
        return Ready(sum(seq.busy for seq in work), min(rows, self.token_budget), sum(seq.run > 0 for seq in work))

    def schedule(self) -> list[ScheduledRows]:
        """The rows of the next step, their blocks allocated; empty when there is nothing to do."""
        batch: list[ScheduledRows] = []
        budget, waiting = self.token_budget, 0
        for seq in self._in_turn():
            rows = self._fit(seq, budget, batch) if budget else None
            seq.waited = seq.busy and rows is None
            waiting += seq.waited
            if rows is not None:
                batch.append(rows)
                budget -= rows.count
        self._rotate(batch)
        self.waiting = waiting
        return batch

    def _in_turn(self) -> Iterable[Sequence]:
        """Sequences with work: those that waited, longest first; then what fits a step; then what has to be cut."""
        work = [seq for seq in self._sequences.values() if seq.first_row < seq.goal]
        return sorted(work, key=self._rank) if len(work) > 1 else work

    def _rank(self, seq: Sequence) -> int:
        if seq.waited:
            return 0
        if not seq.busy:
            return 3
        return 2 if seq.goal - seq.num_computed > self.token_budget else 1

    def _fit(self, seq: Sequence, budget: int, batch: list[ScheduledRows]) -> ScheduledRows | None:
        if not seq.block_table:
            self._paging.adopt_prefix(seq)
        if seq.first_row < seq.num_computed:
            self._paging.retract(seq, seq.first_row)
        start = seq.num_computed
        whole = seq.goal - start <= budget
        # A chunk stops before the newest token, whose row belongs to the draft.
        end = seq.goal if whole else min(start + budget, len(seq.tokens) - 1)
        if end <= start or not self._make_room(seq, end, batch):
            return None
        self._paging.grow(seq, end)
        return ScheduledRows(seq, start, end - start, judged=whole and seq.busy)

    def _make_room(self, seq: Sequence, length: int, batch: list[ScheduledRows]) -> bool:
        missing = self._paging.missing_blocks(seq, length)
        if missing <= self._paging.free_blocks:
            return True
        if not seq.busy:
            return False
        scheduled = {rows.seq.sequence_id for rows in batch}
        victims = [v for v in self._sequences.values() if _yields(v, seq) and v.sequence_id not in scheduled]
        if missing > self._paging.free_blocks + sum(len(victim.block_table) for victim in victims):
            return False  # nobody need suffer in vain
        for victim in sorted(victims, key=lambda v: (v.busy, -v.sequence_id)):
            self._preempt(victim)
            if missing <= self._paging.free_blocks:
                return True
        return False

    def _preempt(self, seq: Sequence) -> None:
        self._paging.release(seq)
        seq.eager = seq.busy
        self.preemptions += 1

    def _rotate(self, batch: list[ScheduledRows]) -> None:
        if len(self._sequences) > 1:
            for rows in batch:
                self._sequences[rows.seq.sequence_id] = self._sequences.pop(rows.seq.sequence_id)


def _yields(other: Sequence, seq: Sequence) -> bool:
    """Whether ``other`` may lose its blocks to ``seq``."""
    older = other.busy and other.sequence_id < seq.sequence_id
    return bool(other.block_table) and other is not seq and not older
