"""What has been taken for ψ and is not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

from draftmesh.decoding.psi import Path, PsiTree
from draftmesh.drafter import psi_book
from tests.helpers.toy_blocks import Base, BlockDrafter
from tests.helpers.toy_language import toy_target
from tests.lossless.planted.planting import replaced


class _PrefixTree(PsiTree):
    """ψ as the probability that the draft's text begins with the bytes."""

    def psi(self, sequence: Sequence[int]) -> float:
        """Over all shortest paths that cover them."""
        return math.fsum(self._covering(sequence))

    def _covering(self, sequence: Sequence[int]) -> Iterable[float]:
        vocabulary = toy_target().vocabulary
        text = vocabulary.join(sequence)
        if len(text) == 0 or any(vocabulary.role(token) for token in sequence):
            return [super().psi(sequence)]
        return _cover_probabilities(self, text)


class _AlignedTree(_PrefixTree):
    """ψ as the probability of one path: the drafter's tokens that were aligned with the bytes."""

    def psi(self, sequence: Sequence[int]) -> float:
        """The likeliest one."""
        whole = max(self._covering(sequence), default=0.0)
        return min(whole, self.psi(sequence[:-1])) if len(sequence) > 1 else whole


def _cover_probabilities(tree: PsiTree, text: bytes) -> Iterator[float]:
    open_paths: list[tuple[Path, bytes, float]] = [((), b"", 1.0)]
    while open_paths:
        path, said, probability = open_paths.pop()
        for token, item, chance in tree._nodes.get(path, ()):
            longer = said + item if isinstance(item, bytes) else said
            if not isinstance(item, bytes) or not (longer.startswith(text) or text.startswith(longer)):
                continue
            if longer.startswith(text):
                yield probability * chance
            else:
                open_paths.append(((*path, token), longer, probability * chance))


def _fresh_conditional(drafter: BlockDrafter, base: Base, sequence: Sequence[int]) -> float:
    """ψ of a later token as if a draft began there."""
    if len(sequence) == 1:
        return drafter._whole(base, tuple(sequence))
    text = drafter._own.model.vocabulary.join(base.committed) + drafter._target.vocabulary.join(sequence[:-1])
    fresh = drafter._base_after(tuple(drafter._own.model.encoder.encode_bytes(text)))
    return drafter._whole(fresh, (sequence[-1],))


def aligns_one_path() -> AbstractContextManager[None]:
    """ψ is the probability of the drafter's tokens that were aligned with the target's."""
    return replaced(psi_book, "PsiTree", _AlignedTree)


def measures_prefixes() -> AbstractContextManager[None]:
    """ψ is the probability of a text prefix."""
    return replaced(psi_book, "PsiTree", _PrefixTree)


def begins_afresh() -> AbstractContextManager[None]:
    """ψ of a later token is that of a fresh draft."""
    return replaced(BlockDrafter, "conditional", _fresh_conditional)
