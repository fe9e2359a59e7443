"""One sequence of the engine: counters and ids, no tensors."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from draftmesh.core.errors import DraftmeshError
from draftmesh.core.sampling import Method
from draftmesh.decoding.history import History
from draftmesh.engine.stats import Sharing, StepReport

if TYPE_CHECKING:
    from draftmesh.decoding.judge import Judgement  # its module needs torch, and bookkeeping does not


class SequenceListener(Protocol):
    """Hears what becomes of one sequence; all calls come on the engine's thread, between steps.

    An exception raised here fails this sequence alone.
    """

    def settle(self, judgement: Judgement) -> tuple[int, ...]:
        """The leading tokens of ``judgement.tokens`` to commit; fewer than all end the request.

        Called before the commit.
        """

    def stepped(self, settled: tuple[int, ...], judgement: Judgement, step: StepReport) -> None:
        """The tokens are committed; a sequence that is not ``busy`` now has ended its request.

        May submit again, extend, interrupt or close. After a judgement with a residual the request has ended, and what
        the residual recovers is to be given to ``Engine.extend``.
        """

    def failed(self, error: DraftmeshError) -> None:
        """The sequence is closed and will hear nothing more."""


class RunDrafter(Protocol):
    """Drafts for one sequence while nobody else does; called on the engine's thread, right before a step.

    An exception raised here fails this sequence alone.
    """

    def draft(self, tokens: Seq[int], limit: int, sharing: Sharing) -> tuple[int, ...]:
        """What may follow ``tokens``, all there are: at most ``limit`` ids that the judge knows, perhaps none."""


@dataclass(slots=True, eq=False)
class Sequence:
    """Tokens, how many of them have valid KV, and what is wanted next.

    ``num_computed`` is the only truth about KV: positions below it hold the KV of ``tokens``; whatever the blocks hold
    beyond it is rubbish. At rest the newest token has none yet, so ``num_computed`` is at most ``len(tokens) - 1``
    after the first step, and taking drafts back is one assignment.
    """

    sequence_id: int
    """Grows with each open: the youngest sequence has the highest."""

    tokens: list[int]
    """Prompt and generated ids."""

    prompt_length: int
    history: History
    listener: SequenceListener
    method: Method
    run_drafter: RunDrafter | None = None
    """None: a step without a draft has none."""

    num_computed: int = 0
    block_table: list[int] = field(default_factory=list)
    """Block ids in order of position."""

    block_hashes: list[bytes] = field(default_factory=list)
    """Chained hashes of the leading full blocks below ``num_computed`` that have been published."""

    draft: tuple[int, ...] = ()
    terms: object | None = None
    """What the judge has to know of the draft; the engine hands it on unread."""

    looked_up: int = 0
    """Tokens of the draft if the run drafter has made it, else 0."""

    run: int = 0
    """Steps still to take after the draft is judged."""

    busy: bool = False
    """A request is under way: something remains to be judged."""

    eager: bool = True
    """Whether KV may be computed ahead of a request; a preempted sequence waits for its next one."""

    waited: bool = False
    """It had work, and the step before gave it nothing."""

    has_news: bool = False
    """A step has settled what its listener has not heard yet."""

    closed: bool = False
    computed_rows: int = 0
    """Rows that steps have computed for it so far."""

    @property
    def generated_length(self) -> int:
        """Tokens after the prompt."""
        return len(self.tokens) - self.prompt_length

    @property
    def first_row(self) -> int:
        """Position of the next row to compute; a request needs the newest token's row even when its KV is there."""
        return min(self.num_computed, len(self.tokens) - 1) if self.busy else self.num_computed

    @property
    def goal(self) -> int:
        """Positions that are to be computed before the sequence can rest."""
        if self.busy:
            return len(self.tokens) + len(self.draft)
        return len(self.tokens) - 1 if self.eager else 0

    @property
    def looks_up(self) -> bool:
        """Whether its run drafter may make a draft for the next step."""
        is_caught_up = self.first_row == len(self.tokens) - 1
        return self.run_drafter is not None and self.busy and is_caught_up and not self.draft and self.terms is None

    def begin(self, draft: tuple[int, ...], terms: object | None, run: int) -> None:
        """Take on a request."""
        self.draft, self.terms, self.run, self.looked_up = draft, terms, run, 0
        self.busy = self.eager = True

    def look_up(self, draft: tuple[int, ...]) -> None:
        """Have what the run drafter has made judged in the next step."""
        self.draft, self.looked_up = draft, len(draft)

    def rest(self) -> None:
        """Drop what is left of the request."""
        self.draft, self.terms, self.run, self.looked_up = (), None, 0, 0
        self.busy = self.waited = self.has_news = False
