"""The verifier's questions for ψ, put to the drafter at work and answered in its words (``slrs``).

A question about tokens after an accepted part of a block becomes one Evaluate of the sequences from the block's base:
ψ(x | t1..tj) = ψ(t1..tj, x) / ψ(t1..tj). It stays open when its drafter is lost, and is put to the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from draftmesh.core.draft import Evaluate, Evaluated
from draftmesh.core.errors import MalformedBlockError, UnavailableError
from draftmesh.core.text import TextPrefix
from draftmesh.core.verify import PsiQuery, PsiReply


@dataclass(slots=True)
class _Question:
    query: PsiQuery
    evaluate: Evaluate
    is_sent: bool = False


class PsiQuestions:
    """Questions that have come, have been passed on, or have been answered."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._open: dict[int, _Question] = {}  # by evaluation id
        self._replies: list[PsiReply] = []

    @property
    def is_waiting(self) -> bool:
        """Whether a drafter owes an answer."""
        return bool(self._open)

    def ask(self, query: PsiQuery, base: TextPrefix, accepted: tuple[int, ...]) -> None:
        """The verifier wants ψ of ``query.ids`` after the ``accepted`` target tokens that follow the block's base."""
        sequences = tuple((*accepted, token) for token in query.ids)
        whole = (accepted,) if accepted else ()
        evaluation_id = next(self._ids)
        self._open[evaluation_id] = _Question(query, Evaluate(evaluation_id, base, sequences + whole))

    def take_unsent(self) -> list[Evaluate]:
        """What is to be sent to the drafter now."""
        questions = [question for question in self._open.values() if not question.is_sent]
        for question in questions:
            question.is_sent = True
        return [question.evaluate for question in questions]

    def restart(self) -> None:
        """Another drafter's stream begins: it has been asked nothing."""
        for question in self._open.values():
            question.is_sent = False

    def hear(self, answer: Evaluated) -> bool:
        """Take in what a drafter says; False if nobody wants to know any more.

        Raises:
            UnavailableError: it no longer has the prefix, or what it says fits another draft.
            MalformedBlockError: it answers another question.
        """
        question = self._open.get(answer.evaluation_id)
        if question is None:
            return False
        if not answer.psi:
            raise UnavailableError("the drafter no longer has the text that ψ was asked for")
        self._replies.append(PsiReply(question.query.query_id, _conditional(question, answer)))
        del self._open[answer.evaluation_id]
        return True

    def take_replies(self) -> list[PsiReply]:
        """Answers for the verifier since the last call."""
        replies, self._replies = self._replies, []
        return replies

    def clear(self) -> None:
        """The verifier that asked is gone."""
        self._open.clear()
        self._replies.clear()


def _conditional(question: _Question, answer: Evaluated) -> tuple[float, ...]:
    sequences, num_ids = question.evaluate.sequences, len(question.query.ids)
    if len(answer.psi) != len(sequences):
        raise MalformedBlockError(f"{len(answer.psi)} values of ψ for {len(sequences)} sequences")
    whole = answer.psi[num_ids] if len(sequences) > num_ids else 1.0
    # A sequence is one way to go on from its own start; rounding may say a little more.
    if not whole > 0.0 or max(answer.psi[:num_ids], default=0.0) > whole * (1.0 + _ROUNDING):
        raise UnavailableError(
            f"ψ of a sequence is above that of its own start, {whole:g}: not the draft that was judged"
        )
    return tuple(min(1.0, psi / whole) for psi in answer.psi[:num_ids])


_ROUNDING = 1e-6
