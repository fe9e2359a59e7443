"""How a rejected ``slrs`` draft gets its token: the residual asks the drafter for ψ until one of its trials is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from draftmesh.core.errors import StateError
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import PsiQuery, PsiReply

if TYPE_CHECKING:
    from draftmesh.decoding.string_rejection import LazyResidual, Recovered  # their module needs torch


class Recovery:
    """Asks the questions of one session's residuals, one after the other, and takes the answers."""

    def __init__(self, emit: Callable[[PsiQuery], None]) -> None:
        self._emit = emit
        self._residual: LazyResidual | None = None
        self._query = PsiQuery(0, TokenPrefix(), ())

    @property
    def waits(self) -> bool:
        """Whether a question is open."""
        return self._residual is not None

    def begin(self, residual: LazyResidual, prefix: TokenPrefix) -> None:
        """Ask for what ``residual`` needs to know of the tokens after ``prefix``."""
        self._residual = residual
        self._ask(residual, prefix)

    def repeat(self) -> None:
        """Ask the open question again."""
        assert self.waits, "no question is open"
        self._emit(self._query)

    def answer(self, reply: PsiReply) -> Recovered | None:
        """The recovered token; None when a further question has been asked instead, or the answer is a repeated one.

        A question that was asked twice may be answered twice: what was answered already is passed over.

        Raises:
            StateError: the question was never asked.
            InvalidRequestError: there is not one value for each id.
        """
        if not 1 <= reply.query_id <= self._query.query_id:
            raise StateError(f"query {reply.query_id} was never asked")
        if self._residual is None or reply.query_id != self._query.query_id:
            return None
        recovered = self._residual.answer(reply.psi)
        if recovered is None:
            self._ask(self._residual, self._query.prefix)
        else:
            self._residual = None
        return recovered

    def _ask(self, residual: LazyResidual, prefix: TokenPrefix) -> None:
        self._query = PsiQuery(self._query.query_id + 1, prefix, residual.ids)
        self._emit(self._query)
