"""A sequence of the engine that draws branches, one after the other."""

from __future__ import annotations

from math import prod
from typing import Protocol

from draftmesh.core.draft import DraftExtent
from draftmesh.core.errors import DraftmeshError, ExhaustedError
from draftmesh.core.sequences import common_length
from draftmesh.core.text import TERMINAL_ROLES
from draftmesh.drafter.branching import Branch
from draftmesh.drafter.draft_token import DraftToken, DrawnBranch
from draftmesh.drafter.drawn_text import draft_tokens, spoken
from draftmesh.drafter.judge import DrawText
from draftmesh.drafter.opening import Opening
from draftmesh.drafter.window import BlockBase
from draftmesh.engine.judging import Judgement
from draftmesh.engine.sequence import Sequence
from draftmesh.engine.stats import StepReport


class BranchOwner(Protocol):
    """Whose branches are drawn."""

    @property
    def runners_up(self) -> int:
        """How many of each token are to be found."""

    def done(self, sequence: BranchSequence, branch: DrawnBranch | None) -> None:
        """A branch is drawn, or there is none to draw; the sequence may begin another one."""

    def lost(self, sequence: BranchSequence) -> None:
        """The engine has closed the sequence."""


class BranchSequence:
    """What its branches have in common is computed once."""

    def __init__(self, opening: Opening, owner: BranchOwner) -> None:
        """Nothing is open yet."""
        self._opening = opening
        self._vocabulary = opening.tokenizer.vocabulary
        self._owner = owner
        self._seq: Sequence | None = None
        self._base: BlockBase | None = None  # where the branch was, or is, drawn from
        self._branch: Branch | None = None
        self._extent = DraftExtent()
        self._drawn_ids: list[int] = []
        self._tokens: list[DraftToken] = []
        self._counted_rows = 0

    @property
    def branch(self) -> Branch | None:
        """What is being drawn."""
        return self._branch

    def begin(self, branch: Branch, draft: BlockBase, extent: DraftExtent) -> None:
        """Draw a branch; ``draft`` has the tokens up to the end of the draft.

        Raises:
            ExhaustedError: the context has no room for it, or has lost where it begins, or the engine has no room for
                one more sequence.
        """
        whole = draft if branch.parent is None else branch.parent.end
        if len(whole.rewindable) < branch.dropped_tokens:
            raise ExhaustedError("a branch begins before the drafter's context")
        first = () if branch.first is None else (branch.first,)
        base = whole.without(branch.dropped_tokens).extend(one.token for one in first)
        if base.num_tokens + extent.branch_tokens >= self._opening.limit_tokens:
            raise ExhaustedError("no room for a branch in the drafter's context")
        self._bring_to(base)
        self._branch, self._extent = branch, extent
        self._drawn_ids = []
        items = self._vocabulary.items([one.token for one in first])
        self._tokens = [DraftToken(item, confidence=one.confidence) for item, one in zip(items, first, strict=True)]
        self._draw()

    def stop(self) -> None:
        """Forget the branch."""
        self._branch = None
        if self._seq is not None:
            self._opening.engine.interrupt(self._seq)

    def close(self) -> None:
        """Free its KV at once."""
        self._branch = None
        if self._seq is not None:
            self._count_rows(self._seq)
            self._opening.engine.close(self._seq)
            self._seq = None

    def settle(self, judgement: Judgement) -> tuple[int, ...]:
        """Keep what can be proposed."""
        return spoken(self._vocabulary, judgement.tokens)

    def stepped(self, settled: tuple[int, ...], judgement: Judgement, step: StepReport) -> None:
        """Take what was drawn, and draw on if there is more to say."""
        self._opening.meters.step(step)
        self._drawn_ids += settled
        self._tokens += draft_tokens(self._vocabulary, settled, judgement)
        if settled and not self._pauses and len(self._tokens) < self._extent.branch_tokens:
            self._draw()
        else:
            self._finish()

    def failed(self, error: DraftmeshError) -> None:  # noqa: ARG002
        """The engine has closed the sequence."""
        self._seq = self._branch = None
        self._owner.lost(self)

    @property
    def _pauses(self) -> bool:
        """The first token is what the target has to say for the branch to be of use; those after it are a draft."""
        is_unsure = prod(token.confidence for token in self._tokens[1:]) < self._extent.least_confidence
        return is_unsure or (bool(self._tokens) and self._tokens[-1].item in TERMINAL_ROLES)

    def _draw(self) -> None:
        assert self._seq is not None, "it is open"
        self._opening.engine.submit(self._seq, terms=DrawText(runners_up=self._owner.runners_up))

    def _finish(self) -> None:
        assert self._branch is not None, "one has begun"
        assert self._base is not None, "it began somewhere"
        branch, self._branch = self._branch, None
        if self._seq is not None:
            self._count_rows(self._seq)
        end = self._base.extend(self._drawn_ids)
        tokens = tuple(self._tokens)
        self._owner.done(self, DrawnBranch(branch.start, tokens, end, self._pauses) if tokens else None)

    def _bring_to(self, base: BlockBase) -> None:
        """Have the tokens of ``base``; what of them is there stays."""
        engine, own = self._opening.engine, base.rewindable
        if self._seq is None or self._base is None or not base.shares_beginning(self._base):
            self.close()
            self._seq = self._opening.open(base.window, base.generated_ids, self)
            self._counted_rows = 0
        else:
            # The last token's row tells what comes next, so it is always computed.
            common = max(0, min(common_length(self._seq.tokens[self._seq.prompt_length :], own), len(own) - 1))
            engine.rewind(self._seq, self._seq.prompt_length + common)
            engine.extend(self._seq, own[common:])
        self._base = base

    def _count_rows(self, seq: Sequence) -> None:
        self._opening.meters.draft_rows(seq.computed_rows - self._counted_rows)
        self._counted_rows = seq.computed_rows
