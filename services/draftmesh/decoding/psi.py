"""ψ of ``slrs``: the probability that a draft settles to given target tokens first.

The drafter's law is a tree: after every path of its own tokens, a distribution with finite support. ψ of a sequence of
target tokens is the sum of the probabilities of the shortest paths whose text settles to it (Timor et al., ICML 2025,
Section 3.2, with the rule of ``longest_match`` as the tokenizer). Only paths that could still settle to the sequence
are followed, and each until it is settled, so the sum is exact; which distributions that needs is asked for level by
level, because each one is a row of the drafter's model. What would take too many rows is not estimated: it is no part
of the law (:class:`TreeBounds`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from draftmesh.core.errors import InternalError
from draftmesh.core.evidence import SparseDistribution
from draftmesh.core.protocols import TokenTable
from draftmesh.core.text import Item, Role, items_length
from draftmesh.decoding.longest_match import LongestMatch

Path = tuple[int, ...]
"""Drafter tokens from the start of the block."""


@dataclass(frozen=True, slots=True)
class TreeBounds:
    """How far a draft tree goes. They are part of the proposal's law: what lies beyond them proposes nothing (⊥)."""

    max_depth: int
    """Drafter tokens of a draft, ≥ 1: one that has not settled a token by then never does."""

    max_paths: int
    """Paths that ψ of one sequence may look beyond, ≥ 1: a sequence that needs more is never proposed."""


@dataclass(frozen=True, slots=True)
class _Branch:
    """A path whose text may still settle to the sequence."""

    path: Path
    items: tuple[Item, ...]
    probability: float


@dataclass(slots=True)
class _Search:
    """How far the paths that may settle to one sequence have been followed."""

    sequence: tuple[int, ...]
    text: bytes
    """What is read as the sequence."""

    branches: list[_Branch]
    """Those that end where the tree is not known, or was not when it was last looked at."""

    settled: list[float] = field(default_factory=list)
    """Probabilities of the shortest paths that settle to the sequence."""

    followed: int = 0
    """Paths that were looked beyond."""

    def give_up(self) -> None:
        """It needs too many paths."""
        self.branches.clear()
        self.settled.clear()


class PsiTree:
    """The part of one block's draft tree that is known."""

    def __init__(self, rule: LongestMatch, drafter: TokenTable, bounds: TreeBounds) -> None:
        """Know nothing yet; ``drafter`` is the vocabulary of the paths."""
        self._rule = rule
        self._drafter = drafter
        self._bounds = bounds
        self._nodes: dict[Path, tuple[tuple[int, Item, float], ...]] = {}
        self._searches: dict[tuple[int, ...], _Search] = {}

    def __len__(self) -> int:
        """Paths whose distribution is known."""
        return len(self._nodes)

    def __contains__(self, path: Path) -> bool:
        """Whether the distribution after ``path`` is known."""
        return path in self._nodes

    def add(self, path: Path, distribution: SparseDistribution) -> None:
        """Learn the distribution of the drafter's next token after ``path``; its ids are the drafter's."""
        total = math.fsum(distribution.weights)
        self._nodes[path] = tuple(
            (token, self._drafter.role(token) or self._drafter.token_bytes(token), weight / total)
            for token, weight in zip(distribution.ids, distribution.weights, strict=True)
            if weight > 0.0
        )

    def missing(self, sequences: Iterable[Sequence[int]]) -> tuple[Path, ...]:
        """Paths whose distributions must be added before ψ of ``sequences`` is known; ask again after adding them."""
        searches = [self._follow(tuple(sequence)) for sequence in sequences]
        return tuple({branch.path: None for search in searches for branch in search.branches})

    def psi(self, sequence: Sequence[int]) -> float:
        """The probability that the draft settles to ``sequence`` (≥ 1 target tokens) first.

        0 if that needs more paths than the bounds allow; whether it does goes by the tree, not by what is known of it.

        Raises:
            InternalError: a distribution is missing.
        """
        search = self._follow(tuple(sequence))
        if search.branches:
            raise InternalError("ψ was asked before its draft tree was known")
        return math.fsum(search.settled)

    def forget(self) -> None:
        """Free what is known; it can be learned again."""
        self._nodes.clear()
        self._searches.clear()

    def _follow(self, sequence: tuple[int, ...]) -> _Search:
        """The sequence's search, as far as the tree is known."""
        if sequence not in self._searches:
            branches = [_Branch((), (), 1.0)] if self._rule.can_read(sequence) else []
            self._searches[sequence] = _Search(sequence, self._rule.text(sequence), branches)
        search = self._searches[sequence]
        ready = [branch for branch in search.branches if branch.path in self._nodes]
        search.branches = [branch for branch in search.branches if branch.path not in self._nodes]
        while ready:
            branch = ready.pop()
            search.followed += 1
            for child in self._children(branch, search):
                (ready if child.path in self._nodes else search.branches).append(child)
            if search.followed + len(ready) + len(search.branches) > self._bounds.max_paths:
                search.give_up()
                break
        return search

    def _children(self, branch: _Branch, search: _Search) -> Iterator[_Branch]:
        """The paths one token longer that are still to be followed; those that settle to the sequence are noted."""
        ahead = search.text[items_length(branch.items) :]
        for token, item, probability in self._nodes[branch.path]:
            if isinstance(item, bytes) and not item.startswith(ahead[: len(item)]):
                continue  # the other checks would find out too, but cost more
            child = _Branch((*branch.path, token), (*branch.items, item), branch.probability * probability)
            settled = self._look(child.items, search.sequence)
            if settled:
                search.settled.append(child.probability)
            elif settled is not None and len(child.path) < self._bounds.max_depth:
                yield child

    def _look(self, items: tuple[Item, ...], sequence: tuple[int, ...]) -> bool | None:
        """Whether a draft's text has settled to ``sequence``; None if it no longer can."""
        reading = self._rule.read(items, limit=len(sequence))
        count = len(reading.ids)
        if reading.ids != sequence[:count]:
            return None
        if count == len(sequence):
            return True
        if reading.missing or isinstance(items[-1], Role):  # nothing follows that could still be read
            return None
        rest = self._rule.rest(items, reading.ids)
        return False if self._rule.can_settle(rest, sequence[count:]) else None
