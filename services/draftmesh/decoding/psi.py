"""ψ of ``slrs``: the probability that a draft settles to given target tokens first.

The drafter's law is a tree: after every path of its own tokens, a distribution with finite support. ψ of a sequence of
target tokens is the sum of the probabilities of the shortest paths whose text settles to it (Timor et al., ICML 2025,
Section 3.2, with the rule of ``longest_match`` as the tokenizer). Only paths that could still settle to the sequence
are followed, and each until it is settled, so the sum is exact; which distributions that needs is asked for level by
level, because each one is a row of the drafter's model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from draftmesh.core.errors import InternalError
from draftmesh.core.evidence import SparseDistribution
from draftmesh.core.protocols import TokenTable
from draftmesh.core.text import Item, Role, items_length
from draftmesh.decoding.longest_match import LongestMatch

Path = tuple[int, ...]
"""Drafter tokens from the start of the block."""


@dataclass(frozen=True, slots=True)
class _Branch:
    """A path whose text may still settle to the sequence, or has."""

    path: Path
    items: tuple[Item, ...]
    probability: float
    settled: bool


class PsiTree:
    """The part of one block's draft tree that is known."""

    def __init__(self, rule: LongestMatch, drafter: TokenTable) -> None:
        """Know nothing yet; ``drafter`` is the vocabulary of the paths."""
        self._rule = rule
        self._drafter = drafter
        self._nodes: dict[Path, tuple[tuple[int, Item, float], ...]] = {}

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
        unknown = {
            branch.path: None
            for sequence in sequences
            for branch in self._branches(tuple(sequence))
            if not branch.settled
        }
        return tuple(unknown)

    def psi(self, sequence: Sequence[int]) -> float:
        """The probability that the draft settles to ``sequence`` (≥ 1 target tokens) first.

        Raises:
            InternalError: a distribution is missing.
        """
        branches = list(self._branches(tuple(sequence)))
        if not all(branch.settled for branch in branches):
            raise InternalError("ψ was asked before its draft tree was known")
        return math.fsum(branch.probability for branch in branches)

    def _branches(self, sequence: tuple[int, ...]) -> Iterator[_Branch]:
        """The shortest paths that settle to ``sequence``, and those that end where the tree is unknown."""
        wanted = self._rule.text(sequence)
        open_branches = [_Branch((), (), 1.0, settled=False)] if self._rule.can_read(sequence) else []
        while open_branches:
            branch = open_branches.pop()
            node = self._nodes.get(branch.path)
            if branch.settled or node is None:
                yield branch
                continue
            ahead = wanted[items_length(branch.items) :]
            for token, item, probability in node:
                if isinstance(item, bytes) and not item.startswith(ahead[: len(item)]):
                    continue  # the other checks would find out too, but cost more
                items = (*branch.items, item)
                settled = self._look(items, sequence)
                if settled is not None:
                    open_branches.append(
                        _Branch((*branch.path, token), items, branch.probability * probability, settled)
                    )

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
