"""One session's draft: the chain's books on one side, a proposer on the other, and blocks going out.

A session lives on its proposer's thread and knows neither streams nor models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from draftmesh.core.draft import Block, Commit, Evaluate, Evaluated
from draftmesh.core.errors import DraftmeshError
from draftmesh.core.protocols import Clock
from draftmesh.core.text import Item
from draftmesh.drafter.branching import BranchTree
from draftmesh.drafter.chain import Chain
from draftmesh.drafter.draft_token import Divergence, DraftPosition, DraftToken, DrawnBranch
from draftmesh.drafter.proposer import Proposer

_RUNNERS_UP = 2
"""Of the packaged pair's rejected drafts, 36 of 48 that a branch can follow begin with the first, and 12 with the
second."""


class Outlet(Protocol):
    """Where a session's messages go. Called on the session's thread; must not block."""

    def put(self, message: Block | Evaluated) -> None:
        """Send a block, or an answer."""

    def close(self, error: DraftmeshError) -> None:
        """End the stream with an error."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """How drawn tokens are joined into blocks.

    The first token after a commit that left nothing ahead goes out at once, and the last one before a pause too.
    Between them a block waits for further tokens until ``interval_ms`` have passed since the block before, so that a
    fast drafter sends few messages and a slow one delays nothing.
    """

    interval_ms: float = 4.0
    """Milliseconds at least between two blocks of a session."""


class DraftSession:
    """Draws ahead of the committed text, and rewinds where the target parts from it. It is its proposer's sink."""

    def __init__(self, chain: Chain, outlet: Outlet, clock: Clock, pacing: Pacing) -> None:
        """Without a proposer yet: it comes with :meth:`start`, because it needs its sink first."""
        self.wasted_bytes = 0
        """Drawn bytes that commits have contradicted so far."""

        self._chain = chain
        self._outlet = outlet
        self._clock = clock
        self._interval_s = pacing.interval_ms / 1000
        self._proposer: Proposer | None = None
        self._tree = BranchTree()
        self._last_block_at = clock.monotonic()
        self._closed = False

    @property
    def ahead(self) -> tuple[Item, ...]:
        """The drawn text beyond the committed text."""
        return self._chain.ahead

    @property
    def committed_bytes(self) -> int:
        """Length of the committed text."""
        return self._chain.committed.length

    @property
    def position(self) -> DraftPosition:
        """Where the next draft token starts."""
        return self._chain.position

    @property
    def runners_up(self) -> int:
        """How many runners-up of each token there may have to be, for branches to begin with."""
        return _RUNNERS_UP if self._chain.extent.branches else 0

    def start(self, proposer: Proposer) -> None:
        """Begin to draw; a session that was closed meanwhile only frees the proposer."""
        self._proposer = proposer
        if self._closed:
            proposer.close()
        else:
            self._go_on()

    def commit(self, commit: Commit) -> None:
        """Take what the target has settled; go on drawing, from where the text parted if it did.

        Raises:
            StateError: the commit is out of place; the session goes on unchanged.
        """
        if self._proposer is None or self._closed:
            return
        divergence = self._chain.commit(commit)
        if divergence is not None:
            self._rewind(self._proposer, divergence)
        self._go_on()

    def evaluate(self, question: Evaluate) -> None:
        """Have ψ found; of sequences after any other text than what is committed nothing is known.

        Raises:
            UnsupportedMethodError: the session's method asks for no ψ.
            InvalidTokenError: an id lies outside the target's vocabulary.
        """
        if self._proposer is None or self._closed:
            return
        if question.prefix == self._chain.committed:
            self._proposer.evaluate(question)
        else:
            self.evaluated(Evaluated(question.evaluation_id, ()))

    def evaluated(self, answer: Evaluated) -> None:
        """Send an answer."""
        if not self._closed:
            self._outlet.put(answer)

    def drawn(self, tokens: Sequence[DraftToken], *, exhausted: bool = False, missing_next: bool = False) -> int:
        """Take draft tokens and send what is due. Returns how many more are wanted."""
        if self._closed:
            return 0
        for token in tokens:
            self._chain.draw(token)
        if missing_next:
            self._chain.draw_nothing()
        wanted = 0 if exhausted else self._chain.room
        if not wanted or self._is_due():
            self._send(paused=not wanted)
        if not wanted:
            self._branch()
        return wanted

    def branched(self, branch: DrawnBranch) -> None:
        """Send a branch, and keep it for the case that the target takes it."""
        if not self._closed and self._tree.add(branch):
            start, items = branch.start, branch.items
            self._outlet.put(Block(self._chain.commit_seq, start, items, branch.pauses, is_branch=True))

    def failed(self, error: DraftmeshError) -> None:
        """End the stream."""
        if not self._closed:
            self._outlet.close(error)
        self.close()

    def close(self) -> None:
        """Stop drawing and free what the proposer holds."""
        self._closed = True
        if self._proposer is not None:
            self._proposer.close()

    def _rewind(self, proposer: Proposer, divergence: Divergence) -> None:
        self.wasted_bytes += divergence.wasted_bytes
        branch = self._tree.taken(divergence.items, self._chain.committed)
        pending = proposer.rebase(replace(divergence, branch=branch))
        if branch is None:
            self._tree.clear()
            self._chain.back_up(pending)
        else:
            self._adopt(branch, divergence.items)

    def _adopt(self, branch: DrawnBranch, settled: tuple[Item, ...]) -> None:
        """Go on with a branch that the target has taken, and with its branches: confirm it at once."""
        self._chain.adopt(settled, branch.tokens)
        if self._chain.room:
            self._send(paused=False)
            self._branch()

    def _go_on(self) -> None:
        """Draw on if there is room; else say again that nothing follows, which the last commit has made untrue."""
        assert self._proposer is not None
        if self._chain.room:
            if self._chain.sends_each and self._chain.unsent_tokens:  # as it would be without room
                self._send(paused=False)
            self._proposer.draw(self._chain.room)
        else:
            self._send(paused=True)
            self._branch()

    def _branch(self) -> None:
        """Have branches of the draft drawn; forget those that do not hang on it."""
        assert self._proposer is not None
        extent = self._chain.extent
        self._tree.stand_on(self._chain.trunk, extent.branches)
        self._proposer.branch(self._tree, extent)

    def _is_due(self) -> bool:
        if not self._chain.unsent_tokens:
            return False
        if self._chain.fresh or self._chain.sends_each:
            return True
        return self._clock.monotonic() - self._last_block_at >= self._interval_s

    def _send(self, *, paused: bool) -> None:
        self._last_block_at = self._clock.monotonic()
        self._outlet.put(self._chain.take_block(paused=paused))
