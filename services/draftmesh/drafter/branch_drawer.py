"""Draws the branches of one session's draft: sequences of the engine beside its own, several of them in one step."""

from __future__ import annotations

from contextlib import suppress

from draftmesh.core.draft import DraftExtent
from draftmesh.core.errors import ExhaustedError
from draftmesh.drafter.branch_sequence import BranchSequence
from draftmesh.drafter.branching import BranchTree
from draftmesh.drafter.draft_token import DrawnBranch
from draftmesh.drafter.opening import Opening
from draftmesh.drafter.proposer import Sink
from draftmesh.drafter.sequence_budget import SequenceBudget
from draftmesh.drafter.window import BlockBase

_TOGETHER = 6
"""Sequences of one session at most."""


class BranchDrawer:
    """Lives on the engine's thread. What goes wrong with a branch costs that branch."""

    def __init__(self, opening: Opening, budget: SequenceBudget, sink: Sink) -> None:
        """Open nothing yet; ``sink`` takes the branches."""
        self._opening = opening
        self._budget = budget
        self._sink = sink
        self._sequences: list[BranchSequence] = []
        self._draft: BlockBase | None = None
        self._tree = BranchTree()
        self._extent = DraftExtent()

    @property
    def runners_up(self) -> int:
        """How many of each token are to be found."""
        return self._sink.runners_up

    def draw(self, draft: BlockBase, tree: BranchTree, extent: DraftExtent) -> None:
        """Draw the branches that ``tree`` has waiting, as far as ``extent`` says.

        Args:
            draft: The tokens up to the end of the draft that the tree stands on.
            tree: What is not in it any more is given up; what has begun goes on.
            extent: Of branches.
        """
        self._draft, self._tree, self._extent = draft, tree, extent
        if not extent.branches:
            self.close()
        for sequence in self._sequences:
            if sequence.branch is not None and not tree.holds(sequence.branch):
                sequence.stop()
            self._go_on(sequence)
        self._open_more()

    def stop(self) -> None:
        """Forget all branches: the draft is another one."""
        for sequence in self._sequences:
            sequence.stop()

    def close(self) -> None:
        """Free everything that the engine holds."""
        self.stop()
        for sequence in self._sequences:
            sequence.close()
        self._budget.give_back(len(self._sequences))
        self._sequences.clear()

    def done(self, sequence: BranchSequence, branch: DrawnBranch | None) -> None:
        """A branch is drawn; None: it has no token, so that it says nothing."""
        if branch is not None:
            self._sink.branched(branch)
        self._go_on(sequence)
        self._open_more()

    def lost(self, sequence: BranchSequence) -> None:
        """The engine has closed a sequence."""
        if sequence in self._sequences:
            self._sequences.remove(sequence)
            self._budget.give_back(1)

    def _open_more(self) -> None:
        """Let more of them be drawn together if they wait, as far as the budget goes."""
        most = min(self._extent.branches, _TOGETHER)
        while len(self._sequences) < most and self._budget.take():
            sequence = BranchSequence(self._opening, self)
            self._sequences.append(sequence)
            self._go_on(sequence)
            if sequence.branch is None:
                self.lost(sequence)
                return

    def _go_on(self, sequence: BranchSequence) -> None:
        """Begin the next branch, unless one is being drawn."""
        branch = self._tree.begin_next() if sequence.branch is None else None
        if branch is not None:
            assert self._draft is not None, "the tree stands on it"
            with suppress(ExhaustedError):  # the engine is full, or the context: there is no room for a guess
                sequence.begin(branch, self._draft, self._extent)
