"""Sequences that compute what a model says after paths of tokens from the start of one block (``slrs``)."""

from __future__ import annotations

from collections.abc import Callable

from draftmesh.core.errors import DraftmeshError, ExhaustedError
from draftmesh.core.sequences import common_length
from draftmesh.drafter.judge import Propose
from draftmesh.drafter.opening import Opening
from draftmesh.drafter.window import BlockBase
from draftmesh.engine.judging import Judgement
from draftmesh.engine.stats import StepReport

Path = tuple[int, ...]
"""Drafter tokens from the start of the block."""


Deliver = Callable[["PathSequence", Path, Judgement, StepReport], None]


class PathSequence:
    """One sequence at a block's base: a path's row needs no more than the tokens that the last path did not have.

    It settles nothing, so that its tokens are those that it was given.
    """

    def __init__(
        self, opening: Opening, base: BlockBase, deliver: Deliver, fail: Callable[[DraftmeshError], None]
    ) -> None:
        """Open at ``base``.

        Raises:
            ExhaustedError: the engine takes no more sequences.
        """
        self._opening = opening
        self._deliver = deliver
        self._fail = fail
        self._counted_rows = 0
        self._base = base
        self._path: Path = ()
        self._open(base)

    def run(self, path: Path, terms: Propose) -> None:
        """Ask for the row after ``path``.

        Raises:
            ExhaustedError: the path is longer than the drafter's context has room for.
        """
        engine = self._opening.engine
        if self._base.num_tokens + len(path) >= self._opening.limit_tokens:
            raise ExhaustedError(f"a draft of {len(path) + 1} tokens has no room left in the drafter's context")
        common = common_length(self._path, path)
        engine.rewind(self._seq, self._base.num_tokens + common)
        engine.extend(self._seq, path[common:])
        engine.submit(self._seq, (), terms=terms)
        self._path = path

    def move(self, base: BlockBase) -> None:
        """Go to another block's base, whatever was asked for; tokens that both begin with keep their KV."""
        engine = self._opening.engine
        engine.interrupt(self._seq)
        if not base.shares_beginning(self._base):
            engine.close(self._seq)
            self._open(base)
            return
        held = (*self._base.rewindable, *self._path)
        common = common_length(held, base.rewindable)
        engine.rewind(self._seq, self._seq.prompt_length + common)
        engine.extend(self._seq, base.rewindable[common:])
        self._stand_at(base)

    def take_rows(self) -> int:
        """Rows computed since the last call."""
        rows, self._counted_rows = self._seq.computed_rows - self._counted_rows, self._seq.computed_rows
        return rows

    def close(self) -> None:
        """Free its KV at once."""
        self._opening.engine.close(self._seq)

    def settle(self, judgement: Judgement) -> tuple[int, ...]:  # noqa: ARG002
        """Nothing: whoever asked for the row says how it goes on."""
        return ()

    def stepped(self, settled: tuple[int, ...], judgement: Judgement, step: StepReport) -> None:  # noqa: ARG002
        """Bring the row's judgement to whoever asked."""
        self._deliver(self, self._path, judgement, step)

    def failed(self, error: DraftmeshError) -> None:
        """The engine has closed the sequence."""
        self._fail(error)

    def _open(self, base: BlockBase) -> None:
        self._seq = self._opening.open(base.window, base.generated_ids, self)
        self._counted_rows = 0
        self._stand_at(base)

    def _stand_at(self, base: BlockBase) -> None:
        self._base = base
        self._path = ()
