"""Where a draft is likeliest to be left, and what for: the beginnings of its branches.

The branch that is wanted most often leaves the draft at its end: where the drafter has paused because all of the draft
is hardly right, the target may say all of it nevertheless.

A draft is left at its i-th token with probability c1 ... c(i-1) (1 - ci), c being the probabilities that each token is
right. What the target says there instead is most often what the drafter would have said next to that: of the packaged
pair at T = 0, three rejected drafts of four go on with one of the six branches that this module finds likeliest.

Drafting for the likely outcomes of a verification that is under way: Kumar et al., Speculative speculative decoding,
2603.03251. Here it hides the round trip to a drafter that is far away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from math import prod

from draftmesh.core.text import Item, TextPrefix
from draftmesh.drafter.draft_token import DraftToken, DrawnBranch, RunnerUp
from draftmesh.drafter.symbols import to_symbols


@dataclass(frozen=True, slots=True)
class Branch:
    """The beginning of one."""

    start: TextPrefix
    """The generated text before it."""

    first: RunnerUp | None = None
    """The drafter's token that it begins with; None: it is what the draft goes on with."""

    dropped_tokens: int = field(default=0, compare=False)
    """Drawn tokens, counted from the last one, that it does without."""


def branch_taken(branches: Iterable[DrawnBranch], settled: Sequence[Item], committed: TextPrefix) -> DrawnBranch | None:
    """The branch that goes on after ``settled``, with which ``committed`` ends; None if none does."""
    symbols = to_symbols(settled)
    for branch in branches:
        said = to_symbols(branch.items)
        if branch.start.extend(settled) == committed and said[: len(symbols)] == symbols != said:
            return branch
    return None


def likeliest_branches(
    start: TextPrefix, tokens: Sequence[DraftToken], count: int, *, goes_on: bool = False
) -> tuple[Branch, ...]:
    """At most ``count`` branches of the draft of ``tokens`` that follows ``start``, the likeliest first.

    ``goes_on``: the draft's own continuation is one of them.
    """
    branches = (*_branches(start, tokens), *([_continuation(start, tokens)] if goes_on else []))
    likeliest = nlargest(count, branches, key=lambda pair: pair[0])
    return tuple(branch for _, branch in likeliest)


def _continuation(start: TextPrefix, tokens: Sequence[DraftToken]) -> tuple[float, Branch]:
    reached = prod(token.confidence for token in tokens)
    return reached, Branch(start.extend(token.item for token in tokens))


def _branches(start: TextPrefix, tokens: Sequence[DraftToken]) -> Iterator[tuple[float, Branch]]:
    """All of them, with their probabilities."""
    reached = 1.0
    for index, token in enumerate(tokens):
        for runner_up in token.runners_up:
            yield reached * runner_up.confidence, Branch(start, runner_up, len(tokens) - index)
        reached *= token.confidence
        start = start.extend((token.item,))
