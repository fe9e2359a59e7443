"""Draws the branches of one session's draft: sequences of the engine beside its own, all of them in one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from draftmesh.core.draft import DraftExtent
from draftmesh.core.errors import ExhaustedError
from draftmesh.drafter.branch_sequence import BranchSequence
from draftmesh.drafter.branching import Branch
from draftmesh.drafter.draft_token import DrawnBranch
from draftmesh.drafter.opening import Opening
from draftmesh.drafter.path_sequence import BlockBase
from draftmesh.drafter.proposer import Sink
from draftmesh.drafter.sequence_budget import SequenceBudget


class BranchDrawer:
    """Lives on the engine's thread. What goes wrong with a branch costs that branch."""

    def __init__(self, opening: Opening, budget: SequenceBudget, sink: Sink) -> None:
        """Open nothing yet; ``sink`` takes the branches."""
        self._opening = opening
        self._budget = budget
        self._sink = sink
        self._sequences: list[BranchSequence] = []
        self._waiting: deque[tuple[Branch, BlockBase]] = deque()
        self._begun: set[Branch] = set()  # of this draft
        self._extent = DraftExtent()

    @property
    def runners_up(self) -> int:
        """How many of each token are to be found."""
        return self._sink.runners_up

    def draw(self, draft: BlockBase, branches: Sequence[Branch], extent: DraftExtent) -> None:
        """Draw these branches of the tokens that ``draft`` ends with, as far as ``extent`` says.

        What has begun already goes on, and what was waiting and is not among them is forgotten.
        """
        self._extent = extent
        earliest = min((branch.start.length for branch in branches), default=0)
        self._begun = {branch for branch in self._begun if branch.start.length >= earliest}
        self._waiting = deque((branch, draft) for branch in branches if branch not in self._begun)
        if not extent.branches:
            self.close()
        idle = [sequence for sequence in self._sequences if not sequence.is_busy]
        for sequence in (*idle, *self._opened(len(self._waiting) - len(idle))):
            self._go_on(sequence)

    def stop(self) -> None:
        """Forget all branches: the draft is another one."""
        self._waiting.clear()
        self._begun.clear()
        for sequence in self._sequences:
            sequence.stop()

    def close(self) -> None:
        """Free everything that the engine holds."""
        self.stop()
        for sequence in self._sequences:
            sequence.close()
        self._budget.give_back(len(self._sequences))
        self._sequences.clear()

    def done(self, sequence: BranchSequence, branch: DrawnBranch) -> None:
        """A branch is drawn; without a token it says nothing."""
        if branch.tokens:
            self._sink.branched(branch)
        self._go_on(sequence)

    def lost(self, sequence: BranchSequence) -> None:
        """The engine has closed a sequence."""
        if sequence in self._sequences:
            self._sequences.remove(sequence)
            self._budget.give_back(1)

    def _opened(self, wanted: int) -> list[BranchSequence]:
        """More sequences, no more than there may be branches, as far as the budget goes; the rest waits its turn."""
        most = min(wanted, self._extent.branches - len(self._sequences))
        new = [BranchSequence(self._opening, self) for _ in range(most) if self._budget.take()]
        self._sequences += new
        return new

    def _go_on(self, sequence: BranchSequence) -> None:
        while self._waiting and not sequence.is_busy:
            branch, draft = self._waiting.popleft()
            self._begun.add(branch)
            try:
                sequence.begin(branch, draft, self._extent)
            except ExhaustedError:  # the engine is full, or the context: there is no room for a guess
                return
