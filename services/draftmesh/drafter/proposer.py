"""The seam between a session's books and whatever draws its tokens: a model, or the text itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from draftmesh.core.errors import DraftmeshError
from draftmesh.core.text import Item
from draftmesh.drafter.chain import Divergence


class Sink(Protocol):
    """Where a proposer brings what it has drawn. Called on the proposer's own thread."""

    def drawn(self, items: Sequence[Item], *, exhausted: bool = False) -> int:
        """Take draft tokens, in order; ``exhausted``: nothing more can be drawn before the next divergence.

        Returns how many more tokens are wanted right now; 0 stops the proposer until the next ``draw``.
        """

    def failed(self, error: DraftmeshError) -> None:
        """Nothing more will ever be drawn."""


class Proposer(Protocol):
    """Draws one session's draft tokens. All calls on one thread, which is the proposer's own."""

    def draw(self, count: int) -> None:
        """Draw until ``count`` more tokens are brought to the sink, or it wants no more.

        Takes the place of what is outstanding of an earlier call.
        """

    def rebase(self, divergence: Divergence) -> bytes:
        """Drop tokens, append committed text, and draw nothing before the next ``draw``.

        Returns the end of the committed text that the next tokens will spell again, if the proposer backs up to redraw
        an unnatural token boundary; else nothing.
        """

    def close(self) -> None:
        """Free everything held for the session; safe to call twice."""
