"""Target vocabularies that coordinators have made known, by digest."""

from __future__ import annotations

from collections import OrderedDict

from draftmesh.core.errors import InvalidRequestError, NotFoundError
from draftmesh.tokenization.vocabulary import Vocabulary


class VocabularyStore:
    """The latest used vocabularies. For one event loop; not for threads."""

    def __init__(self, capacity: int) -> None:
        """Keep ``capacity`` vocabularies at most."""
        self._capacity = capacity
        self._vocabularies: OrderedDict[bytes, Vocabulary] = OrderedDict()

    def register(self, digest: bytes, vocabulary: Vocabulary) -> None:
        """Keep a vocabulary, unless it is known already; the longest unused one makes room.

        Raises:
            InvalidRequestError: ``digest`` is not the vocabulary's.
        """
        if vocabulary.digest != digest:
            raise InvalidRequestError(f"digest {digest.hex()} is not that of the tokens, {vocabulary.digest.hex()}")
        self._vocabularies.setdefault(digest, vocabulary)
        self._vocabularies.move_to_end(digest)
        while len(self._vocabularies) > self._capacity:
            self._vocabularies.popitem(last=False)

    def get(self, digest: bytes) -> Vocabulary:
        """A registered vocabulary.

        Raises:
            NotFoundError: it was never registered, or has had to make room.
        """
        try:
            self._vocabularies.move_to_end(digest)
        except KeyError:
            raise NotFoundError(f"vocabulary {digest.hex()} is not known here: register it first") from None
        return self._vocabularies[digest]
