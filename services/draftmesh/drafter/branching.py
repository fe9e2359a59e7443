"""Where a draft is likeliest to be left, and what for: branches of it, and branches of those.

The branch that is wanted most often leaves the draft at its end: where the drafter has paused because all of the draft
is hardly right, the target may say all of it nevertheless.

A draft is left at its i-th token with probability c1 ... c(i-1) (1 - ci), c being the probabilities that each token is
right. What the target says there instead is most often what the drafter would have said next to that: of the packaged
pair at T = 0, three rejected drafts of four go on with one of the six branches that this module finds likeliest. What
is true of the draft is true of each branch that takes its place, so all of them are one tree.

Drafting for the likely outcomes of a verification that is under way: Kumar et al., Speculative speculative decoding,
2603.03251. Here it hides the round trip to a drafter that is far away; branches of branches hide one that takes longer
than a verification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from draftmesh.core.text import Item, TextPrefix
from draftmesh.drafter.draft_token import DraftToken, DrawnBranch, RunnerUp
from draftmesh.drafter.symbols import to_symbols


@dataclass(frozen=True, slots=True)
class Branch:
    """The beginning of one."""

    start: TextPrefix
    """The generated text before it."""

    first: RunnerUp | None = None
    """The drafter's token that it begins with; None: it is what the draft, or its parent, goes on with."""

    parent: DrawnBranch | None = field(default=None, compare=False)
    """What it is a branch of; None: of the draft."""

    dropped_tokens: int = field(default=0, compare=False)
    """Tokens of its parent or of the draft, counted from the last one, that it does without."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """A draft that branches part from."""

    start: TextPrefix
    """The generated text before it."""

    tokens: tuple[DraftToken, ...]

    goes_on: bool = False
    """Whether what it goes on with is a branch, because it has paused."""


class BranchTree:
    """What the target may say next: a draft, and the branches of one session that hang on it."""

    def __init__(self) -> None:
        self._drawn: list[DrawnBranch] = []
        self._begun: set[Branch] = set()
        self._reached: dict[TextPrefix, float] = {}  # with which probability the text comes to where a branch may begin
        self._waiting: list[tuple[float, int, Branch]] = []  # a heap, the likeliest first
        self._numbers = count()
        self._most = 0

    def stand_on(self, trunk: Trunk, most: int) -> None:
        """Another draft, or more of it; branches that do not hang on it are forgotten, and ``most`` may hang there."""
        self._most = most
        self._reached.clear()
        self._waiting.clear()
        self._spread(trunk, 1.0)
        drawn, self._drawn = self._drawn, []
        for branch in drawn:
            self.add(branch)
        self._begun = {branch for branch in self._begun if self.holds(branch)}

    def holds(self, branch: Branch | DrawnBranch) -> bool:
        """Whether it begins with what the draft may come to."""
        return branch.start in self._reached

    def add(self, drawn: DrawnBranch) -> bool:
        """Keep a branch if it hangs here, for the case that the target takes it; whether it does."""
        reached = self._reached.get(drawn.start)
        if reached is None:
            return False
        self._drawn.append(drawn)
        self._spread(drawn, reached)
        return True

    def begin_next(self) -> Branch | None:
        """The likeliest branch that has not begun, which begins now; None if there is none, or no room for it."""
        while self._waiting and len(self._begun) < self._most:
            _, _, branch = heappop(self._waiting)
            if branch not in self._begun:
                self._begun.add(branch)
                return branch
        return None

    def taken(self, settled: Sequence[Item], committed: TextPrefix) -> DrawnBranch | None:
        """The branch that goes on after ``settled``, with which ``committed`` ends; None if none does."""
        symbols = to_symbols(settled)
        for branch in self._drawn:
            said = to_symbols(branch.items)
            if branch.start.extend(settled) == committed and said[: len(symbols)] == symbols != said:
                return branch
        return None

    def clear(self) -> None:
        """The draft is another one, of which nothing is known."""
        self._drawn.clear()
        self._begun.clear()
        self._reached.clear()
        self._waiting.clear()

    def _spread(self, text: Trunk | DrawnBranch, reached: float) -> None:
        """Branches may begin along a text that comes with probability ``reached``."""
        start, parent = text.start, text if isinstance(text, DrawnBranch) else None
        self._reached.setdefault(start, reached)
        for dropped, token in zip(range(len(text.tokens), 0, -1), text.tokens, strict=True):
            for one in token.runners_up:
                self._wait(reached * one.confidence, Branch(start, one, parent, dropped))
            reached *= token.confidence
            start = start.extend((token.item,))
            self._reached.setdefault(start, reached)
        if text.goes_on:
            self._wait(reached, Branch(start, None, parent))

    def _wait(self, probability: float, branch: Branch) -> None:
        heappush(self._waiting, (-probability, next(self._numbers), branch))
