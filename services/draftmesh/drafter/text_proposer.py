"""A drafter with a model that proposes text (``exact``): one sequence of the engine a session, one draft token a step.

The draft token is drawn from the drafter's own processed distribution with the session's keyed noise, so that it agrees
with the target's draw as often as two distributions allow without communication.
"""

from __future__ import annotations

from draftmesh.core.draft import DraftExtent, Evaluate
from draftmesh.core.errors import DraftmeshError
from draftmesh.core.text import Role
from draftmesh.drafter.branch_drawer import BranchDrawer
from draftmesh.drafter.branching import BranchTree
from draftmesh.drafter.draft_sequence import DraftSequence
from draftmesh.drafter.draft_token import Divergence
from draftmesh.drafter.drawn_text import draft_tokens, spoken
from draftmesh.drafter.healing import redrawn_tokens
from draftmesh.drafter.judge import DrawText
from draftmesh.drafter.opening import Opening
from draftmesh.drafter.proposer import Sink, no_psi
from draftmesh.drafter.sequence_budget import SequenceBudget
from draftmesh.engine.judging import Judgement
from draftmesh.engine.stats import StepReport


class TextProposer:
    """One session's sequence, its own tokens, and the listener of its steps. Lives on the engine's thread.

    Each step draws one token; the sink says after each whether another is wanted, so a commit never waits for more
    than the step under way.
    """

    def __init__(self, opening: Opening, sink: Sink, budget: SequenceBudget, *, healing: bool) -> None:
        """Open a sequence for the context and what is committed.

        Args:
            opening: Of the session, on an engine whose judge is a ``DraftJudge``.
            sink: Takes the tokens.
            budget: Of sequences for branches.
            healing: Redraw the committed text's last token after a divergence.

        Raises:
            InvalidTextError: the vocabulary cannot express the text.
            ExhaustedError: the engine takes no more sequences.
        """
        self._vocabulary = opening.tokenizer.vocabulary
        self._meters = opening.meters
        self._sink = sink
        self._healing = healing
        self._redrawn: tuple[int, ...] = ()
        self._sequence = DraftSequence(opening, self)
        self._branches = BranchDrawer(opening, budget, sink)

    def draw(self, count: int) -> None:
        """Start a step for one token, unless one is under way; the sink's answer asks for those after it."""
        if count and self._sequence.idle:
            self._sequence.submit(self._redrawn, DrawText(len(self._redrawn), self._sink.runners_up))

    def branch(self, tree: BranchTree, extent: DraftExtent) -> None:
        """Draw them in the steps that follow, several together."""
        self._branches.draw(self._sequence.base, tree, extent)

    def rebase(self, divergence: Divergence) -> bytes:
        """Rewind to the last token that stays, and take the branch, or the committed text in natural segmentation."""
        self._redrawn = ()
        if divergence.branch is not None:
            self._sequence.take(divergence.dropped_tokens, divergence.branch.ids)
            return b""
        self._branches.stop()
        edit = self._sequence.replace_end(divergence.dropped_tokens, divergence.items)
        pending = b"" if isinstance(divergence.items[-1], Role) else self._take_redrawn()
        self._sequence.follow(edit.keep_tokens, len(self._redrawn))
        return pending

    def evaluate(self, question: Evaluate) -> None:  # noqa: ARG002
        """Refuse: no law is kept of what was drawn."""
        raise no_psi()

    def close(self) -> None:
        """Free what the engine holds at once."""
        self._branches.close()
        self._sequence.close()

    def settle(self, judgement: Judgement) -> tuple[int, ...]:
        """Keep what can be proposed."""
        return spoken(self._vocabulary, judgement.tokens)

    def stepped(self, settled: tuple[int, ...], judgement: Judgement, step: StepReport) -> None:
        """Bring the drawn tokens to the sink, and go on if it wants more."""
        self._meters.step(step)
        self._redrawn = ()
        for token in settled:
            self._sequence.push(token)
        exhausted = len(settled) < len(judgement.tokens)
        self.draw(self._sink.drawn(draft_tokens(self._vocabulary, settled, judgement), exhausted=exhausted))

    def failed(self, error: DraftmeshError) -> None:
        """The engine has closed the sequence."""
        self._sink.failed(error)

    def _take_redrawn(self) -> bytes:
        """Take the tokens to redraw, if any, from the path's end; their bytes."""
        rewindable = self._sequence.rewindable
        count = redrawn_tokens(self._vocabulary, rewindable) if self._healing else 0
        self._redrawn = rewindable[len(rewindable) - count :]
        return self._sequence.back_up(count)
