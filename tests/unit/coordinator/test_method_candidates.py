"""``auto``: what could be chosen for a session."""

from __future__ import annotations

from dataclasses import replace

import pytest

from draftmesh.coordinator.methods.candidates import candidates, suits
from draftmesh.core.endpoint import DrafterInfo, VerifierInfo
from draftmesh.core.sampling import Method

ALL = tuple(method for method in Method if method is not Method.AUTO)
TARGET = VerifierInfo("model", b"target", b"vocabulary", b"tokenizer", ALL, 100, 16, 8)
DRAFTER = DrafterInfo("drafter", b"drafter", b"other vocabulary", ALL, 100, 32, 8)
TWIN = replace(DRAFTER, digest=b"twin", vocabulary_digest=b"vocabulary")
NGRAM = replace(DRAFTER, digest=b"ngram", vocabulary_digest=b"")


def methods(*drafters: DrafterInfo, trusted: bool = True, seeded: bool = False) -> list[Method]:
    """The methods of the candidates."""
    return [option.method for option in candidates(TARGET, drafters, trusted=trusted, seeded=seeded)]


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (methods(), {Method.OFF}),
        (methods(DRAFTER), set(ALL) - {Method.REJECTION}),
        (methods(TWIN), set(ALL)),
        (methods(NGRAM), {Method.OFF, Method.EXACT}),
        (methods(TWIN, trusted=False), {Method.OFF, Method.EXACT, Method.TLI_EXACT}),
        (methods(TWIN, seeded=True), {Method.OFF, Method.EXACT, Method.TLI_EXACT}),
        (methods(replace(TWIN, methods=(Method.EXACT,))), {Method.OFF, Method.EXACT}),
    ],
)
def test_candidates_fit_vocabularies_trust_and_seed(offered: list[Method], expected: set[Method]) -> None:
    """Off is always one; the others are what the pair can do and the client's wishes allow."""
    assert set(offered) == expected
    assert len(offered) == len(expected)


def test_a_target_that_does_not_offer_a_method_rules_it_out() -> None:
    """Both sides must know how."""
    assert not suits(Method.TLI, replace(TARGET, methods=(Method.OFF, Method.EXACT)), DRAFTER)
    assert suits(Method.TLI, TARGET, DRAFTER)
