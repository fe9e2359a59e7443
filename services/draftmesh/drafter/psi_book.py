"""ψ of one block: the known part of its draft tree, and what has been said of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from draftmesh.core.errors import InvalidTokenError
from draftmesh.core.evidence import SparseDistribution
from draftmesh.core.protocols import TokenTable
from draftmesh.core.text import Item, Role
from draftmesh.decoding.longest_match import LongestMatch
from draftmesh.decoding.psi import PsiTree, TreeBounds


class PsiBook:
    """Answers for sequences of target tokens after the block's base."""

    def __init__(self, rule: LongestMatch, target: TokenTable, drafter: TokenTable, bounds: TreeBounds) -> None:
        """Know nothing yet."""
        self._rule = rule
        self._target = target
        self._tree = PsiTree(rule, drafter, bounds)
        self._readable: dict[int, bool] = {}
        self._told: set[tuple[int, ...]] = set()
        self._counted = 0

    def __len__(self) -> int:
        """Paths whose distribution is known."""
        return len(self._tree)

    def check(self, sequences: Iterable[Sequence[int]]) -> None:
        """Refuse ids that are no tokens.

        Raises:
            InvalidTokenError: an id lies outside the target's vocabulary.
        """
        for sequence in sequences:
            for token in sequence:
                if not 0 <= token < len(self._target):
                    raise InvalidTokenError(f"token id {token} lies outside the target's {len(self._target)} tokens")

    def add(self, path: tuple[int, ...], distribution: SparseDistribution) -> None:
        """Learn the distribution of the drafter's next token after ``path``."""
        self._tree.add(path, distribution)

    def missing(self, sequences: Iterable[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
        """Paths whose distributions have to be added before ψ of ``sequences`` is known."""
        return self._tree.missing(sequence for sequence in sequences if self._can_be_read(sequence))

    def psi(self, sequence: Sequence[int]) -> float:
        """The probability that the draft settles to ``sequence`` first; all it needs is known."""
        self._told.add(tuple(sequence))
        return min(1.0, self._tree.psi(sequence)) if self._can_be_read(sequence) else 0.0

    def conditionals(self, ids: Sequence[int]) -> tuple[float, ...]:
        """ψ of each of ``ids`` given those before it; all it needs is known.

        Fewer than there are ids if ψ of so many needs more paths than the bounds allow: then ⊥ stands for the rest.
        """
        found: list[float] = []
        before = 1.0
        for count in range(1, len(ids) + 1):
            after = self.psi(ids[:count])
            if not after:
                break
            found.append(min(1.0, after / before))
            before = after
        return tuple(found)

    def forget(self) -> None:
        """Free what can be learned again."""
        self._tree.forget()

    def take_told(self) -> int:
        """Different sequences whose ψ was first said since the last call."""
        fresh, self._counted = len(self._told) - self._counted, len(self._told)
        return fresh

    def _can_be_read(self, sequence: Sequence[int]) -> bool:
        """Whether the rule ever returns these tokens: not one without text, or over the cap, or shadowed by another."""
        return all(self._returns(token) for token in sequence)

    def _returns(self, token: int) -> bool:
        if token not in self._readable:
            role = self._target.role(token)
            items: tuple[Item, ...] = (self._target.token_bytes(token), Role.EOS) if role is None else (role,)
            self._readable[token] = self._rule.read(items, limit=1).ids == (token,)
        return self._readable[token]
