"""A drafter with a model that proposes target ids (``tli``, ``rejection``, ``tli-exact``), one a step.

Only tokens that the target shares are drawn, and what was drawn is said with the distribution that it was drawn from.
Text is taken over token by token of the target, and nothing is redrawn: a healed token is no draw from a known law.
"""

from __future__ import annotations

from draftmesh.core.draft import DraftExtent, Evaluate
from draftmesh.core.errors import DraftmeshError
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import Method
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.proposal import Choices, Proposal, ProposalShape
from draftmesh.drafter.branching import BranchTree
from draftmesh.drafter.draft_sequence import DraftSequence
from draftmesh.drafter.draft_token import Divergence, DraftToken
from draftmesh.drafter.judge import Propose, confidences, proposal_of
from draftmesh.drafter.noise_positions import token_position
from draftmesh.drafter.opening import Opening
from draftmesh.drafter.proposer import Sink, no_psi
from draftmesh.engine.judging import Judgement
from draftmesh.engine.stats import StepReport


class IdProposer:
    """One session's sequence and the listener of its steps. Lives on the engine's thread."""

    def __init__(self, opening: Opening, sink: Sink, target: TokenTable, shared: Choices) -> None:
        """Open a sequence for the context and what is committed.

        Args:
            opening: Of the session, on an engine whose judge is a ``DraftJudge``.
            sink: Takes the tokens.
            target: The target's vocabulary.
            shared: The target's tokens that the drafter shares.

        Raises:
            InvalidTextError: the vocabulary cannot express the text.
            ExhaustedError: the engine takes no more sequences.
        """
        self._request = opening.request
        self._meters = opening.meters
        self._sink = sink
        self._target = target
        support = None if opening.request.method is Method.TLI_EXACT else opening.request.proposal_support
        self._shape = ProposalShape(shared, support)
        self._sequence = DraftSequence(opening, self)

    def draw(self, count: int) -> None:
        """Start a step for one token, unless one is under way; the sink's answer asks for those after it."""
        if count and self._sequence.idle:
            self._sequence.submit((), Propose(self._shape, self._position()))

    def branch(self, tree: BranchTree, extent: DraftExtent) -> None:
        """Draw none: what is proposed is judged by the law that it was drawn from."""

    def rebase(self, divergence: Divergence) -> bytes:
        """Rewind to the last token that stays, and take the committed text token by token."""
        edit = self._sequence.replace_end(divergence.dropped_tokens, divergence.items)
        self._sequence.follow(edit.keep_tokens)
        return b""

    def evaluate(self, question: Evaluate) -> None:  # noqa: ARG002
        """Refuse: what is proposed are tokens, not strings."""
        raise no_psi()

    def close(self) -> None:
        """Free the sequence's KV at once."""
        self._sequence.close()

    def settle(self, judgement: Judgement) -> tuple[int, ...]:
        """Every proposal stands for text or a role."""
        return judgement.tokens

    def stepped(self, settled: tuple[int, ...], judgement: Judgement, step: StepReport) -> None:
        """Bring the drawn token to the sink, and go on if it wants more."""
        self._meters.step(step)
        for token in settled:
            self._sequence.push(token)
        (confidence,) = confidences(judgement)
        self.draw(self._sink.drawn([self._token(proposal_of(judgement), confidence)]))

    def failed(self, error: DraftmeshError) -> None:
        """The engine has closed the sequence."""
        self._sink.failed(error)

    def _token(self, proposal: Proposal, confidence: float) -> DraftToken:
        chosen = proposal.choice
        item = self._target.role(chosen) or self._target.token_bytes(chosen)
        return DraftToken(item, chosen, proposal.distribution, confidence=confidence)

    def _position(self) -> NoisePosition | None:
        """Fresh for each draft token that can come to be judged; ``tli-exact`` reads the noise that the target does."""
        if self._request.method is Method.TLI_EXACT:
            return None
        return token_position(self._request.noise_key, self._sink.position)
