"""The seam between a session's books and whatever draws its tokens: a model, or the text itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from draftmesh.core.draft import DraftExtent, Evaluate, Evaluated
from draftmesh.core.errors import DraftmeshError, UnsupportedMethodError
from draftmesh.drafter.branching import BranchTree
from draftmesh.drafter.draft_token import Divergence, DraftPosition, DraftToken, DrawnBranch


class Sink(Protocol):
    """Where a proposer brings what it has drawn. Called on the proposer's own thread."""

    @property
    def position(self) -> DraftPosition:
        """Where the next draft token starts."""

    def drawn(self, tokens: Sequence[DraftToken], *, exhausted: bool = False, missing_next: bool = False) -> int:
        """Take draft tokens, in order.

        Args:
            tokens: What was drawn.
            exhausted: Nothing more can be drawn before the next divergence.
            missing_next: After the tokens the draft translates to nothing (``slrs``).

        Returns how many more tokens are wanted right now; 0 stops the proposer until the next ``draw``.
        """

    @property
    def runners_up(self) -> int:
        """How many runners-up it wants to know of each token."""

    def branched(self, branch: DrawnBranch) -> None:
        """Take a branch."""

    def evaluated(self, answer: Evaluated) -> None:
        """Take the answer to a question for ψ."""

    def failed(self, error: DraftmeshError) -> None:
        """Nothing more will ever be drawn."""


class Proposer(Protocol):
    """Draws one session's draft tokens. All calls on one thread, which is the proposer's own."""

    def draw(self, count: int) -> None:
        """Draw until ``count`` more tokens are brought to the sink, or it wants no more.

        Takes the place of what is outstanding of an earlier call.
        """

    def branch(self, tree: BranchTree, extent: DraftExtent) -> None:
        """Draw branches that ``tree`` has waiting, and bring them to the sink; a proposer may leave them alone.

        Those that are not in it any more are given up. A divergence ends all, unless the target has taken one of them:
        then what goes on is said next, by another call.

        Args:
            tree: Stands on the draft as it is now; branches of what is brought to the sink are added to it there.
            extent: How many tokens each has at most, and how sure they have to be.
        """

    def rebase(self, divergence: Divergence) -> bytes:
        """Drop tokens, append committed text or the branch that has it, and draw nothing before the next ``draw``.

        Returns the end of the committed text that the next tokens will spell again, if the proposer backs up to redraw
        an unnatural token boundary; else nothing.
        """

    def evaluate(self, question: Evaluate) -> None:
        """Find ψ of sequences that follow the committed text, and bring it to the sink, unless a commit comes first.

        Raises:
            UnsupportedMethodError: the session's method asks for no ψ.
            InvalidTokenError: an id lies outside the target's vocabulary.
        """

    def close(self) -> None:
        """Free everything held for the session; safe to call twice."""


def no_psi() -> UnsupportedMethodError:
    """What is wrong with a question for ψ where the method has none."""
    return UnsupportedMethodError("string probabilities are a matter of method slrs alone")
