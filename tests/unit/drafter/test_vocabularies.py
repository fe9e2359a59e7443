"""The store of target vocabularies."""

from __future__ import annotations

import pytest

from draftmesh.core.errors import InvalidRequestError, NotFoundError
from draftmesh.drafter.vocabularies import VocabularyStore
from draftmesh.tokenization.vocabulary import Vocabulary


def vocabulary(*texts: bytes) -> Vocabulary:
    """A vocabulary of ordinary tokens."""
    return Vocabulary(texts, {})


def test_registered_vocabulary_is_found() -> None:
    """What was registered can be had by its digest."""
    store, own = VocabularyStore(2), vocabulary(b"a")
    store.register(own.digest, own)
    assert store.get(own.digest) is own


def test_false_digest_is_refused() -> None:
    """A digest that the tokens do not have is refused, and nothing is kept."""
    store, own = VocabularyStore(2), vocabulary(b"a")
    with pytest.raises(InvalidRequestError):
        store.register(vocabulary(b"b").digest, own)
    with pytest.raises(NotFoundError):
        store.get(own.digest)


def test_longest_unused_makes_room() -> None:
    """Over the capacity the one goes that was not used for longest."""
    store, first, second, third = VocabularyStore(2), vocabulary(b"a"), vocabulary(b"b"), vocabulary(b"c")
    store.register(first.digest, first)
    store.register(second.digest, second)
    store.get(first.digest)
    store.register(third.digest, third)
    assert store.get(first.digest) is first
    with pytest.raises(NotFoundError):
        store.get(second.digest)


def test_known_vocabulary_stays_the_same_object() -> None:
    """What is worked out for a vocabulary is kept by the object, so registering it again changes nothing."""
    store, first, again = VocabularyStore(2), vocabulary(b"a"), vocabulary(b"a")
    store.register(first.digest, first)
    store.register(again.digest, again)
    assert store.get(first.digest) is first
