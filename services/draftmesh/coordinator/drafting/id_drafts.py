"""Drafts of target ids (``tli``, ``tli-exact``, ``rejection``): each token with the distribution it was drawn from.

The text is kept as for ``exact``, by :class:`DraftBuffer`; beside it, token by token, its ids and their evidence. What
is left of a draft after a commit stays if and only if the committed text equals the draft's up to the end of a draft
token, and is made of as many tokens: then the tokens that stay were drawn given just that text, and none of them has
been judged. (A token without bytes that is drawn in place of a rejected one leaves the text as it was: by the text
alone the rejected token would stay and be judged again.) Else all of it is dropped, and with it whatever is still on
its way from a drafter that has not heard of that commit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from draftmesh.coordinator.drafting.buffer import DraftBuffer, DraftLimits
from draftmesh.coordinator.drafting.drafts import Candidate, Draft, check_ids
from draftmesh.core.draft import Block
from draftmesh.core.evidence import ProposalEvidence, SparseDistribution
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import Method
from draftmesh.core.text import Item


@dataclass(frozen=True, slots=True)
class _Token:
    id: int
    size: int
    """Atoms of its text."""

    distribution: SparseDistribution | None


class IdDrafts:
    """Satisfies ``drafts.Drafts``."""

    def __init__(self, limits: DraftLimits, method: Method, table: TokenTable) -> None:
        """Keep drafts within ``limits``, of tokens of the target's ``table``."""
        self._buffer = DraftBuffer(limits)
        self._method = method
        self._table = table
        self._tokens: deque[_Token] = deque()  # their sizes add up to the draft in the buffer
        self._is_parted = False  # the next commit tells the drafter of a parting
        self._parted_at = 0  # the commit that told it of the last one

    @property
    def ended(self) -> bool:
        """Whether the draft will not get longer before something is committed."""
        return self._buffer.ended

    def read(self, *, ended: bool) -> Candidate:
        """All of the draft: it is never retokenised and nothing is held back."""
        del ended
        known = [token.distribution for token in self._tokens if token.distribution is not None]
        evidence = ProposalEvidence(tuple(known)) if known else None
        return Candidate(Draft(tuple(token.id for token in self._tokens), evidence))

    def settle(self, ids: Sequence[int], items: Sequence[Item]) -> None:
        """The target has committed these tokens."""
        had_draft, agrees = bool(self._tokens), self._buffer.settle(items)
        left, covered = sum(map(_size, items)), 0
        while self._tokens and self._tokens[0].size <= left:
            left -= self._tokens.popleft().size
            covered += 1
        parts = not agrees or (bool(self._tokens) and (left > 0 or covered != len(ids)))
        if parts:
            self._tokens.clear()
            self._buffer.drop()
        if (parts and had_draft) or b"" in items:
            self._is_parted = True

    def offer(self, block: Block) -> bool:
        """Keep the tokens that ``block`` adds, if they begin where what is known ends."""
        check_ids(block, self._method, self._table)
        if self._is_parted or block.commit_seq < self._parted_at:
            self._buffer.refuse(block)
            return False
        before = self._buffer.kept
        if not self._buffer.offer(block, whole_tokens=True):
            return False
        fresh = self._buffer.kept - before
        tokens: list[_Token] = []
        for token in reversed(_tokens(block)):
            if fresh == 0:
                break
            tokens.append(token)
            fresh -= token.size
        self._tokens.extend(reversed(tokens))
        return True

    def restart(self, max_ahead_tokens: int) -> None:
        """Another stream begins; its draft is its own."""
        del max_ahead_tokens
        self._tokens.clear()
        self._buffer.restart()
        self._is_parted, self._parted_at = False, 0

    def note_commit(self, commit_seq: int) -> None:
        """A commit has been sent on the stream."""
        self._buffer.note_commit(commit_seq)
        if self._is_parted:
            self._is_parted, self._parted_at = False, commit_seq

    def take_wasted_bytes(self) -> int:
        """Bytes of draft thrown away without being judged since the last call."""
        return self._buffer.take_wasted_bytes()


def _size(item: Item) -> int:
    return len(item) if isinstance(item, bytes) else 1


def _tokens(block: Block) -> list[_Token]:
    sizes = map(_size, block.items)
    distributions: Iterable[SparseDistribution | None] = [None] * len(block.items)
    if isinstance(block.evidence, ProposalEvidence):
        distributions = block.evidence.positions
    return [_Token(*token) for token in zip(block.target_ids, sizes, distributions, strict=True)]
