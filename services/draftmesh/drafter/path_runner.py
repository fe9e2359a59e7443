"""Computes rows after many paths of one block, as many as possible in one step of the engine (``slrs``)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from draftmesh.core.errors import DraftmeshError, ExhaustedError
from draftmesh.decoding.proposal import Proposal
from draftmesh.drafter.judge import Propose, proposal_of
from draftmesh.drafter.opening import Opening
from draftmesh.drafter.path_sequence import Path, PathSequence
from draftmesh.drafter.sequence_budget import SequenceBudget
from draftmesh.drafter.window import BlockBase
from draftmesh.engine.judging import Judgement
from draftmesh.engine.stats import StepReport


@dataclass(frozen=True, slots=True)
class Row:
    """What the model says after a path."""

    path: Path
    proposal: Proposal


class PathRunner:
    """The sequences of one session: one for good, and others for as long as a block needs them."""

    def __init__(
        self,
        opening: Opening,
        base: BlockBase,
        budget: SequenceBudget,
        on_done: Callable[[], None],
        on_failure: Callable[[DraftmeshError], None],
    ) -> None:
        """Open one sequence at ``base``; ``on_done`` is called when all paths of a :meth:`run` are computed.

        Raises:
            ExhaustedError: the engine takes no more sequences.
        """
        self._opening = opening
        self._base = base
        self._budget = budget
        self._on_done = on_done
        self._on_failure = on_failure
        self._own = PathSequence(opening, base, self._take, on_failure)
        self._others: list[PathSequence] = []
        self._waiting: deque[tuple[Path, Propose]] = deque()
        self._running = 0
        self._rows: list[Row] = []
        self._computed_rows = 0

    @property
    def busy(self) -> bool:
        """Whether paths are being computed."""
        return self._running > 0

    def run(self, requests: Iterable[tuple[Path, Propose]]) -> None:
        """Compute the rows after these paths; :meth:`take_rows` has them when ``on_done`` is called.

        Raises:
            ExhaustedError: a path is longer than the drafter's context has room for.
        """
        self._waiting.extend(requests)
        self._open_others(len(self._waiting) - 1)
        for sequence in (self._own, *self._others):
            self._run_next(sequence)

    def take_rows(self) -> tuple[list[Row], int]:
        """What the last run has found, and how many rows of the engine it took."""
        rows, computed = self._rows, self._computed_rows
        self._rows, self._computed_rows = [], 0
        return rows, computed

    def move(self, base: BlockBase) -> None:
        """Go to another block's base and forget what was asked for."""
        self._base = base
        self._close_others()
        self._waiting.clear()
        self._rows.clear()
        self._running = 0
        self._own.move(base)

    def close(self) -> None:
        """Free everything."""
        self._close_others()
        self._waiting.clear()
        self._own.close()

    def _open_others(self, wanted: int) -> None:
        """Open more sequences where that saves steps and the engine has room; the rest takes turns."""
        while len(self._others) < wanted and self._budget.take():
            try:
                self._others.append(PathSequence(self._opening, self._base, self._take, self._on_failure))
            except ExhaustedError:
                self._budget.give_back(1)
                return

    def _close_others(self) -> None:
        self._budget.give_back(len(self._others))
        for sequence in self._others:
            sequence.close()
        self._others.clear()

    def _run_next(self, sequence: PathSequence) -> None:
        if self._waiting:
            sequence.run(*self._waiting.popleft())
            self._running += 1

    def _take(self, sequence: PathSequence, path: Path, judgement: Judgement, step: StepReport) -> None:
        self._opening.meters.step(step)
        self._running -= 1
        self._rows.append(Row(path, proposal_of(judgement)))
        self._computed_rows += sequence.take_rows()
        self._run_next(sequence)
        if not self._running:
            self._on_done()
