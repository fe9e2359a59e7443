"""Draws the branches of one session's draft: sequences of the engine beside its own, all of them in one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from draftmesh.core.errors import DraftmeshError, ExhaustedError
from draftmesh.core.text import TERMINAL_ROLES, Item
from draftmesh.drafter.branching import Branch
from draftmesh.drafter.draft_token import spoken
from draftmesh.drafter.opening import Opening
from draftmesh.drafter.path_sequence import BlockBase
from draftmesh.drafter.sequence_budget import SequenceBudget
from draftmesh.drafter.symbols import common_length
from draftmesh.engine.judging import Judgement
from draftmesh.engine.sequence import Sequence as EngineSequence
from draftmesh.engine.stats import StepReport

Deliver = Callable[[Branch, tuple[Item, ...]], None]


class BranchDrawer:
    """Lives on the engine's thread. What goes wrong with a branch costs that branch."""

    def __init__(self, opening: Opening, budget: SequenceBudget, deliver: Deliver) -> None:
        """Open nothing yet; ``deliver`` is told every branch with its text, its first token's included."""
        self._opening = opening
        self._budget = budget
        self._deliver = deliver
        self._sequences: list[_BranchSequence] = []
        self._waiting: deque[tuple[Branch, BlockBase]] = deque()
        self._limit_tokens = 0

    def draw(self, draft: BlockBase, branches: Sequence[Branch], limit_tokens: int) -> None:
        """Draw branches of so many tokens at most, their first included, of the tokens that ``draft`` ends with."""
        self._limit_tokens = limit_tokens
        self._waiting.extend((branch, draft) for branch in branches)
        idle = [sequence for sequence in self._sequences if not sequence.is_busy]
        for sequence in (*idle, *self._opened(len(self._waiting) - len(idle))):
            self._go_on(sequence)

    def stop(self) -> None:
        """Forget all branches that are under way."""
        self._waiting.clear()
        for sequence in self._sequences:
            sequence.stop()

    def close(self) -> None:
        """Free everything that the engine holds."""
        self.stop()
        for sequence in self._sequences:
            sequence.close()
        self._budget.give_back(len(self._sequences))
        self._sequences.clear()

    def done(self, sequence: _BranchSequence, branch: Branch, items: tuple[Item, ...]) -> None:
        """A branch is drawn."""
        self._deliver(branch, items)
        self._go_on(sequence)

    def lost(self, sequence: _BranchSequence) -> None:
        """The engine has closed a sequence."""
        self._sequences.remove(sequence)
        self._budget.give_back(1)

    def _opened(self, wanted: int) -> list[_BranchSequence]:
        """More sequences, as far as the budget goes; what has none waits for its turn."""
        new = [_BranchSequence(self._opening, self) for _ in range(wanted) if self._budget.take()]
        self._sequences += new
        return new

    def _go_on(self, sequence: _BranchSequence) -> None:
        while self._waiting and not sequence.is_busy:
            try:
                sequence.begin(*self._waiting.popleft(), self._limit_tokens)
            except ExhaustedError:  # the engine is full, or the context: there is no room for a guess
                return


class _BranchSequence:
    """Draws one branch after the other; of what the engine holds, all that they have in common stays."""

    def __init__(self, opening: Opening, drawer: BranchDrawer) -> None:
        self._opening = opening
        self._drawer = drawer
        self._seq: EngineSequence | None = None
        self._base: BlockBase | None = None
        self._branch: Branch | None = None
        self._items: tuple[Item, ...] = ()
        self._counted_rows = 0

    @property
    def is_busy(self) -> bool:
        """Whether a branch is being drawn."""
        return self._branch is not None

    def begin(self, branch: Branch, draft: BlockBase, limit_tokens: int) -> None:
        """Draw a branch of ``draft``.

        Raises:
            ExhaustedError: the context has no room for it, or the engine none for one more sequence.
        """
        kept = draft.rewindable[: max(0, len(draft.rewindable) - branch.dropped_tokens)]
        own = (*kept, branch.token)
        if len(draft.window.prompt_ids) + len(own) + limit_tokens >= self._opening.limit_tokens:
            raise ExhaustedError("no room for a branch in the drafter's context")
        seq = self._brought_to(draft, own)
        self._branch, self._items = branch, self._opening.tokenizer.vocabulary.items((branch.token,))
        if limit_tokens > 1:
            self._opening.engine.submit(seq, run=limit_tokens - 2)
        else:
            self._finish()

    def stop(self) -> None:
        """Forget the branch."""
        self._branch = None
        if self._seq is not None:
            self._opening.engine.interrupt(self._seq)

    def close(self) -> None:
        """Free its KV at once."""
        if self._seq is not None:
            self._count_rows(self._seq)
            self._opening.engine.close(self._seq)
            self._seq = None

    def settle(self, judgement: Judgement) -> tuple[int, ...]:
        """Keep what can be proposed."""
        return spoken(self._opening.tokenizer.vocabulary, judgement.tokens)

    def stepped(self, settled: tuple[int, ...], judgement: Judgement, step: StepReport) -> None:  # noqa: ARG002
        """Take what was drawn; whether there is more to come."""
        assert self._seq is not None, "the engine speaks of it"
        self._opening.meters.step(step)
        self._items += self._opening.tokenizer.vocabulary.items(settled)
        if not self._seq.busy or self._items[-1] in TERMINAL_ROLES:
            self._opening.engine.interrupt(self._seq)
            self._finish()

    def failed(self, error: DraftmeshError) -> None:  # noqa: ARG002
        """The engine has closed the sequence."""
        self._seq = self._branch = None
        self._drawer.lost(self)

    def _finish(self) -> None:
        assert self._branch is not None, "one has begun"
        branch, self._branch = self._branch, None
        if self._seq is not None:
            self._count_rows(self._seq)
        self._drawer.done(self, branch, self._items)

    def _brought_to(self, draft: BlockBase, own: tuple[int, ...]) -> EngineSequence:
        """The sequence, with ``own`` as its generated tokens."""
        engine = self._opening.engine
        if self._seq is None or self._base is None or not draft.shares_beginning(self._base):
            self.close()
            first = draft.window.first_generated
            self._seq = self._opening.open(draft.window, (*draft.generated_ids[:first], *own), self)
            self._counted_rows = 0
        else:
            common = common_length(self._seq.tokens[self._seq.prompt_length :], own)
            engine.rewind(self._seq, self._seq.prompt_length + common)
            engine.extend(self._seq, own[common:])
        self._base = draft
        return self._seq

    def _count_rows(self, seq: EngineSequence) -> None:
        self._opening.meters.draft_rows(seq.computed_rows - self._counted_rows)
        self._counted_rows = seq.computed_rows
