"""Which sessions a drafter takes."""

from __future__ import annotations

from typing import Any

import pytest

from draftmesh.core.endpoint import DrafterInfo
from draftmesh.core.errors import DraftmeshError, InvalidRequestError, NotFoundError, UnsupportedMethodError
from draftmesh.core.sampling import Method
from draftmesh.drafter.admission import admissible
from draftmesh.drafter.config import DrafterConfig
from draftmesh.drafter.vocabularies import VocabularyStore
from draftmesh.tokenization.vocabulary import Vocabulary
from tests.helpers.fakes_drafter import draft_open

TARGET = Vocabulary((b"a", b"b"), {})
OTHER = Vocabulary((b"a", b"c"), {})
CONFIG = DrafterConfig(kind="ngram", max_ahead_tokens=16, default_ahead_tokens=4)
INFO = DrafterInfo(
    name="drafter",
    digest=b"d",
    vocabulary_digest=TARGET.digest,
    methods=tuple(method for method in Method if method is Method.EXACT or method.proposes_ids),
    max_context_tokens=100,
    max_ahead_tokens=16,
    max_sessions=1,
)


@pytest.fixture
def store() -> VocabularyStore:
    """Two registered vocabularies."""
    store = VocabularyStore(2)
    store.register(TARGET.digest, TARGET)
    store.register(OTHER.digest, OTHER)
    return store


REFUSED: dict[str, tuple[dict[str, Any], type[DraftmeshError]]] = {
    "no digest": ({"method": Method.TLI}, InvalidRequestError),
    "unknown digest": ({"method": Method.SLRS, "target_vocabulary_digest": b"?"}, NotFoundError),
    "another vocabulary": (
        {"method": Method.REJECTION, "target_vocabulary_digest": OTHER.digest},
        UnsupportedMethodError,
    ),
    "off": ({"method": Method.OFF}, UnsupportedMethodError),
    "no support": ({"proposal_support": 0}, InvalidRequestError),
    "wide support": ({"proposal_support": 100_000}, InvalidRequestError),
    "no cap": ({"psi_cap_bytes": 0}, InvalidRequestError),
    "high cap": ({"psi_cap_bytes": 257}, InvalidRequestError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(store: VocabularyStore, name: str) -> None:
    """What a drafter cannot do is refused with the error of its kind."""
    changes, expected = REFUSED[name]
    with pytest.raises(DraftmeshError) as caught:
        admissible(draft_open(b"x", **changes), CONFIG, INFO, store)
    assert type(caught.value) is expected


def test_equal_vocabularies_may_use_rejection(store: VocabularyStore) -> None:
    """The digest says that they are equal id by id."""
    request = draft_open(b"x", method=Method.REJECTION, target_vocabulary_digest=TARGET.digest)
    assert admissible(request, CONFIG, INFO, store)[1] is TARGET


@pytest.mark.parametrize(("asked", "applied"), [(0, 4), (10, 10), (99, 16)])
def test_length_is_bounded(store: VocabularyStore, asked: int, applied: int) -> None:
    """No wish is the default, and a wish is cut to the limit."""
    assert admissible(draft_open(b"x", max_ahead_tokens=asked), CONFIG, INFO, store)[0].max_ahead_tokens == applied
