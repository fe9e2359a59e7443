"""Drafts of target ids (``tli``, ``tli-exact``, ``rejection``): each token with the distribution it was drawn from.

The text is kept as for ``exact``, by :class:`DraftBuffer`, but token by token, with ids and evidence beside it. What
is left of a draft after a commit stays if and only if the committed text is that of the draft's first tokens, token by
token: then the tokens that stay were drawn given just that text, and none of them has been judged. (A token without
bytes that is drawn in place of a rejected one leaves the text as it was: by the text alone the rejected token would
stay and be judged again.) Else all of it is dropped, and with it whatever is still on its way from a drafter that has
not heard of that commit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from draftmesh.coordinator.drafting.buffer import DraftBuffer
from draftmesh.coordinator.drafting.drafts import BranchDraft, Draft, KnownDraft, check_ids
from draftmesh.coordinator.drafting.flow import DraftLimits
from draftmesh.core.draft import Block
from draftmesh.core.evidence import ProposalEvidence, SparseDistribution
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import Method
from draftmesh.core.text import Item


@dataclass(frozen=True, slots=True)
class _Token:
    id: int
    distribution: SparseDistribution | None


class IdDrafts:
    """Satisfies ``drafts.Drafts``."""

    def __init__(self, limits: DraftLimits, method: Method, table: TokenTable) -> None:
        """Keep drafts within ``limits``, of tokens of the target's ``table``."""
        self._buffer = DraftBuffer(limits, by_token=True)
        self._method = method
        self._table = table
        self._tokens: deque[_Token] = deque()  # those of the draft in the buffer
        self._is_parted = False  # the next commit tells the drafter of a parting
        self._parted_at = 0  # the commit that told it of the last one

    @property
    def ended(self) -> bool:
        """Whether the draft will not get longer before something is committed.

        Where tokens are judged by ratios, what the last one says must not decide when they are: then only a pause does.
        """
        return self._buffer.is_paused if self._method.judges_by_ratio else self._buffer.ended

    def read(self, *, ended: bool) -> KnownDraft:
        """All of the draft: it is never retokenised and nothing is held back."""
        del ended
        known = [token.distribution for token in self._tokens if token.distribution is not None]
        evidence = ProposalEvidence(tuple(known)) if known else None
        return KnownDraft(Draft(tuple(token.id for token in self._tokens), evidence))

    def branches(self) -> Sequence[BranchDraft]:
        """There are none."""
        return ()

    def settle(self, ids: Sequence[int], items: Sequence[Item]) -> bool:
        """The target has committed these tokens; whether the draft says them too."""
        had_draft, agrees = bool(self._tokens), self._buffer.settle(items)
        if agrees:
            self._tokens = deque(islice(self._tokens, len(ids), None))
        else:
            self._tokens.clear()
        if (had_draft and not agrees) or b"" in items:
            self._is_parted = True
        return agrees

    def offer(self, block: Block) -> bool:
        """Keep the tokens that ``block`` adds, if those before them are the ones that are known."""
        check_ids(block, self._method, self._table)
        if self._is_parted or block.commit_seq < self._parted_at:
            self._buffer.refuse(block)
            return False
        if not self._buffer.offer(block):
            return False
        fresh = self._buffer.kept - len(self._tokens)
        tokens = _tokens(block)
        self._tokens.extend(tokens[len(tokens) - fresh :])
        return True

    def restart(self, max_ahead_tokens: int, *, is_behind: bool) -> None:
        """Another stream begins; its draft is its own.

        What it draws before it has heard of all that is committed may begin with a token that was rejected meanwhile.
        """
        del max_ahead_tokens
        self._tokens.clear()
        self._buffer.restart()
        self._is_parted, self._parted_at = is_behind, 0

    def note_commit(self, commit_seq: int) -> None:
        """A commit has been sent on the stream."""
        self._buffer.note_commit(commit_seq)
        if self._is_parted:
            self._is_parted, self._parted_at = False, commit_seq

    def take_wasted_bytes(self) -> int:
        """Bytes of draft thrown away without being judged since the last call."""
        return self._buffer.take_wasted_bytes()


def _tokens(block: Block) -> list[_Token]:
    distributions: Iterable[SparseDistribution | None] = [None] * len(block.items)
    if isinstance(block.evidence, ProposalEvidence):
        distributions = block.evidence.positions
    return [_Token(*token) for token in zip(block.target_ids, distributions, strict=True)]
