"""Questions for ψ on their way between verifier and drafter."""

from __future__ import annotations

import pytest

from draftmesh.coordinator.drafting.psi_desk import PsiDesk
from draftmesh.core.draft import Evaluate, Evaluated
from draftmesh.core.errors import MalformedBlockError, UnavailableError
from draftmesh.core.text import TextPrefix, TokenPrefix
from draftmesh.core.verify import PsiQuery, PsiReply

BASE = TextPrefix().extend((b"base",))
QUERY = PsiQuery(7, TokenPrefix(), (5, 6))


@pytest.fixture
def desk() -> PsiDesk:
    """One question, after two accepted tokens."""
    desk = PsiDesk()
    desk.ask(QUERY, BASE, (1, 2))
    return desk


def test_a_question_is_put_as_sequences_from_the_base(desk: PsiDesk) -> None:
    """Those of the ids in question, and the one that they continue; and it is put once."""
    assert desk.take_unsent() == [Evaluate(1, BASE, ((1, 2, 5), (1, 2, 6), (1, 2)))]
    assert (desk.take_unsent(), desk.is_waiting) == ([], True)


def test_the_answer_is_conditional_on_the_accepted_tokens(desk: PsiDesk) -> None:
    """ψ of a sequence divided by ψ of its start."""
    assert desk.hear(Evaluated(1, (0.1, 0.0, 0.4)))
    assert (desk.take_replies(), desk.is_waiting) == ([PsiReply(7, (0.25, 0.0))], False)


def test_at_the_base_nothing_is_divided() -> None:
    """Without accepted tokens ψ of the sequence is the answer."""
    desk = PsiDesk()
    desk.ask(QUERY, BASE, ())
    assert desk.take_unsent() == [Evaluate(1, BASE, ((5,), (6,)))]
    desk.hear(Evaluated(1, (0.25, 0.5)))
    assert desk.take_replies() == [PsiReply(7, (0.25, 0.5))]


def test_a_successor_is_asked_again(desk: PsiDesk) -> None:
    """What the drafter before it has not answered."""
    asked = desk.take_unsent()
    desk.restart()
    assert desk.take_unsent() == asked


def test_answers_that_nobody_waits_for_are_ignored(desk: PsiDesk) -> None:
    """To other questions, and to those of a verifier that is gone."""
    assert not desk.hear(Evaluated(9, (0.5,)))
    desk.clear()
    assert not desk.hear(Evaluated(1, (0.1, 0.1, 0.4)))
    assert desk.take_replies() == []


def test_too_few_numbers_are_malformed(desk: PsiDesk) -> None:
    """One for each sequence was asked for."""
    with pytest.raises(MalformedBlockError):
        desk.hear(Evaluated(1, (0.1, 0.1)))


@pytest.mark.parametrize("psi", [(0.1, 0.1, 0.0), (0.5, 0.1, 0.4)])
def test_numbers_of_another_draft_are_of_no_use(desk: PsiDesk, psi: tuple[float, ...]) -> None:
    """A start that was accepted and could not be, or a sequence that is likelier than its start.

    Other hardware may round a token out of a proposal's support: the drafter is left, and not held to have lied.
    """
    with pytest.raises(UnavailableError):
        desk.hear(Evaluated(1, psi))


def test_a_drafter_without_the_text_is_of_no_use(desk: PsiDesk) -> None:
    """Its stream is given up; the question stays open."""
    with pytest.raises(UnavailableError):
        desk.hear(Evaluated(1, ()))
    assert desk.is_waiting
