"""Questions for ψ on their way between verifier and drafter."""

from __future__ import annotations

import pytest

from draftmesh.coordinator.drafting.psi_questions import PsiQuestions
from draftmesh.core.draft import Evaluate, Evaluated
from draftmesh.core.errors import MalformedBlockError, UnavailableError
from draftmesh.core.text import TextPrefix, TokenPrefix
from draftmesh.core.verify import PsiQuery, PsiReply

BASE = TextPrefix().extend((b"base",))
QUERY = PsiQuery(7, TokenPrefix(), (5, 6))


@pytest.fixture
def questions() -> PsiQuestions:
    """One question, after two accepted tokens."""
    questions = PsiQuestions()
    questions.ask(QUERY, BASE, (1, 2))
    return questions


def test_a_question_is_put_as_sequences_from_the_base(questions: PsiQuestions) -> None:
    """Those of the ids in question, and the one that they continue; and it is put once."""
    assert questions.take_unsent() == [Evaluate(1, BASE, ((1, 2, 5), (1, 2, 6), (1, 2)))]
    assert (questions.take_unsent(), questions.is_waiting) == ([], True)


def test_the_answer_is_conditional_on_the_accepted_tokens(questions: PsiQuestions) -> None:
    """ψ of a sequence divided by ψ of its start."""
    assert questions.hear(Evaluated(1, (0.1, 0.0, 0.4)))
    assert (questions.take_replies(), questions.is_waiting) == ([PsiReply(7, (0.25, 0.0))], False)


def test_at_the_base_nothing_is_divided() -> None:
    """Without accepted tokens ψ of the sequence is the answer."""
    questions = PsiQuestions()
    questions.ask(QUERY, BASE, ())
    assert questions.take_unsent() == [Evaluate(1, BASE, ((5,), (6,)))]
    questions.hear(Evaluated(1, (0.25, 0.5)))
    assert questions.take_replies() == [PsiReply(7, (0.25, 0.5))]


def test_a_successor_is_asked_again(questions: PsiQuestions) -> None:
    """What the drafter before it has not answered."""
    asked = questions.take_unsent()
    questions.restart()
    assert questions.take_unsent() == asked


def test_answers_that_nobody_waits_for_are_ignored(questions: PsiQuestions) -> None:
    """To other questions, and to those of a verifier that is gone."""
    assert not questions.hear(Evaluated(9, (0.5,)))
    questions.clear()
    assert not questions.hear(Evaluated(1, (0.1, 0.1, 0.4)))
    assert questions.take_replies() == []


def test_too_few_numbers_are_malformed(questions: PsiQuestions) -> None:
    """One for each sequence was asked for."""
    with pytest.raises(MalformedBlockError):
        questions.hear(Evaluated(1, (0.1, 0.1)))


@pytest.mark.parametrize("psi", [(0.1, 0.1, 0.0), (0.5, 0.1, 0.4)])
def test_numbers_of_another_draft_are_of_no_use(questions: PsiQuestions, psi: tuple[float, ...]) -> None:
    """A start that was accepted and could not be, or a sequence that is likelier than its start.

    Other hardware may round a token out of a proposal's support: the drafter is left, and not held to have lied.
    """
    with pytest.raises(UnavailableError):
        questions.hear(Evaluated(1, psi))


def test_a_drafter_without_the_text_is_of_no_use(questions: PsiQuestions) -> None:
    """Its stream is given up; the question stays open."""
    with pytest.raises(UnavailableError):
        questions.hear(Evaluated(1, ()))
    assert questions.is_waiting
