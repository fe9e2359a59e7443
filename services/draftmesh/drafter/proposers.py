"""Begins the proposer that a session's method needs, and keeps what that takes of each target's vocabulary."""

from __future__ import annotations

from functools import lru_cache

import torch

from draftmesh.core.draft import DraftOpen
from draftmesh.core.errors import UnsupportedMethodError
from draftmesh.core.sampling import Method
from draftmesh.decoding.longest_match import LongestMatch
from draftmesh.decoding.proposal import Choices, own_choices, shared_choices
from draftmesh.drafter.canonical import CanonicalPairs
from draftmesh.drafter.id_proposer import IdProposer
from draftmesh.drafter.opening import Opening
from draftmesh.drafter.proposer import Proposer, Sink
from draftmesh.drafter.string_proposer import PsiLimits, StringLaw, StringProposer
from draftmesh.drafter.text_proposer import TextProposer
from draftmesh.tokenization.intersection import Intersection, intersect
from draftmesh.tokenization.tokenizer import Tokenizer
from draftmesh.tokenization.vocabulary import Vocabulary


class Proposers:
    """Of one model. :meth:`begin` is for the engine's thread; the rest may be called on any."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        vocab_rows: int,
        device: torch.device | str,
        *,
        psi: PsiLimits,
        healing: bool,
        max_vocabularies: int,
    ) -> None:
        """Know the drafter.

        Args:
            tokenizer: The model's.
            vocab_rows: Columns of its logits.
            device: Where they are.
            psi: What ψ may cost.
            healing: Whether texts are healed (module ``healing``).
            max_vocabularies: Targets that are kept in mind.
        """
        self._own = tokenizer.vocabulary
        self._rows = min(len(tokenizer.vocabulary), vocab_rows)
        self._device = torch.device(device)
        self._psi = psi
        self._healing = healing
        self._pairs = CanonicalPairs(tokenizer)
        self._own_choices = own_choices(self._own, self._rows, self._device)
        self._intersection = lru_cache(max_vocabularies)(self._intersect)
        self._shared = lru_cache(max_vocabularies)(self._share)
        self._rule = lru_cache(max_vocabularies)(LongestMatch)

    def shared_tokens(self, target: Vocabulary) -> int:
        """Tokens of the target that can be proposed one to one."""
        return len(self._intersection(target))

    def prepare(self, request: DraftOpen, target: Vocabulary | None) -> None:
        """Do beforehand what of :meth:`begin` takes long.

        Raises:
            UnsupportedMethodError: the method cannot draft for this target.
        """
        match request.method:
            case Method.TLI | Method.TLI_EXACT | Method.REJECTION:
                self._shared(_known(target))
            case Method.SLRS:
                self._rule(_known(target), request.psi_cap_bytes)
            case _:
                pass

    def begin(self, opening: Opening, target: Vocabulary | None, sink: Sink) -> Proposer:
        """A session's proposer.

        Raises:
            UnsupportedMethodError: the method cannot draft for this target.
            InvalidTextError: the vocabulary cannot express the text.
            ExhaustedError: the engine takes no more sequences.
        """
        match opening.request.method:
            case Method.TLI | Method.TLI_EXACT | Method.REJECTION:
                return IdProposer(opening, sink, _known(target), self._shared(_known(target)))
            case Method.SLRS:
                rule = self._rule(_known(target), opening.request.psi_cap_bytes)
                law = StringLaw(_known(target), rule, self._own_choices, self._pairs)
                return StringProposer(opening, sink, law, self._psi)
            case _:
                return TextProposer(opening, sink, self._psi.budget, healing=self._healing)

    def _intersect(self, target: Vocabulary) -> Intersection:
        return intersect(target, self._own, drafter_rows=self._rows)

    def _share(self, target: Vocabulary) -> Choices:
        shared = self._intersection(target)
        if not len(shared):
            raise UnsupportedMethodError("drafter and target share no token that could be proposed")
        return shared_choices(target, shared.target_ids, shared.drafter_ids, self._rows, self._device)


def _known(target: Vocabulary | None) -> Vocabulary:
    assert target is not None, "admission sees to it"
    return target
