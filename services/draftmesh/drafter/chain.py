"""The books of one session's draft: what is committed, what is drawn ahead of it, and what of that is sent.

The chain is pure: no model, no thread, no clock. Its text is what the drafter believes the session says::

    ├────────────── committed ──────────────┤
    ├── anchor ──┤                                      anchor: where the oldest drawn token in hand begins
                 ├───── lead ─────┤                     lead: committed text beyond the anchor
                 ├── token ──┼── token ──┼── token ──┤  drawn tokens in hand

A commit *agrees* when the drawn text begins with lead + commit. It may end inside a drawn token, which then stays in
hand with a lead. Anything else is a :class:`Divergence`: the proposer drops tokens and goes on from the committed text.
A proposer that backs up to redraw an unnatural boundary leaves a lead without a token; the next token spells it.

What a commit may keep is the method's business (:class:`Keep`). Where the target's own draws are compared with a
draft, text that agrees may always stay. Where a draft token is a draw whose law is reported, it stays only if nothing
has been judged in its place, and a block of ``slrs`` is never continued.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, takewhile
from math import prod

from draftmesh.core.draft import MAX_BRANCH_TOKENS, MAX_BRANCHES, Block, Commit, DraftExtent
from draftmesh.core.errors import InternalError, StateError
from draftmesh.core.evidence import Evidence, ProposalEvidence, PsiEvidence
from draftmesh.core.sampling import Method
from draftmesh.core.sequences import common_length
from draftmesh.core.text import TERMINAL_ROLES, Item, TextPrefix, items_length
from draftmesh.drafter.branching import Trunk
from draftmesh.drafter.draft_token import Divergence, DraftPosition, DraftToken
from draftmesh.drafter.keep import Keep, keep_of
from draftmesh.drafter.symbols import to_items, to_symbols

_LEAST_BRANCH_TOKENS = 2  # a single one would say nothing that follows


class Chain:
    """One session's text, in symbols; see the module's picture."""

    def __init__(
        self,
        committed: Sequence[Item],
        max_ahead_tokens: int,
        *,
        method: Method = Method.EXACT,
        committed_tokens: int = 0,
        first_extent: DraftExtent | None = None,
    ) -> None:
        """Start with ``committed`` (``committed_tokens`` target tokens) generated already and nothing drawn."""
        self._method = method
        self._keep = keep_of(method)
        self._committed = TextPrefix().extend(committed)
        self._committed_tokens = committed_tokens
        self._commit_seq = 0
        self._max_ahead_tokens = max_ahead_tokens
        self._extent = DraftExtent(max_ahead_tokens)  # beyond the newest commit
        self._limit(first_extent or self._extent)
        self._leads: list[tuple[int, ...]] = []  # one for each committed token, without what is settled
        self._tokens: list[tuple[int, ...]] = []
        self._drawn_tokens: list[DraftToken] = []  # beside ``_tokens``
        self._missing_next = False
        self._sent = 0

    @property
    def committed(self) -> TextPrefix:
        """The committed text."""
        return self._committed

    @property
    def commit_seq(self) -> int:
        """The newest commit that is part of the text."""
        return self._commit_seq

    @property
    def ahead(self) -> tuple[Item, ...]:
        """The drawn text beyond the committed text."""
        return to_items(self._drawn[len(self._lead) :])

    @property
    def position(self) -> DraftPosition:
        """Where the next drawn token starts."""
        drawn = items_length(token.item for token in self._drawn_tokens) - items_length(to_items(self._lead))
        return DraftPosition(self._committed.length + max(0, drawn), self._committed_tokens + len(self._tokens))

    @property
    def room(self) -> int:
        """Tokens that may still be drawn before the next commit; 0 once the draft has ended, or goes on unsurely."""
        if self.ended or self._is_unsure:
            return 0
        return max(0, self._extent.ahead_tokens - len(self._tokens))

    @property
    def ended(self) -> bool:
        """Whether the last drawn token ends the generation.

        Never for methods that judge tokens by ratios: a draft that went out sooner because it ends would be judged
        where another one is not, so what it says would choose who judges it. They draw on as if nothing had ended.
        """
        if self._keep is Keep.TOKENS and self._method.judges_by_ratio:
            return False
        return bool(self._tokens) and to_items(self._tokens[-1])[-1] in TERMINAL_ROLES

    @property
    def unsent_tokens(self) -> int:
        """Drawn tokens that no block has carried yet."""
        return len(self._tokens) - self._sent

    @property
    def sends_each(self) -> bool:
        """Whether a drawn token must go out at once, by itself.

        Where tokens are judged by ratios, what one says must not decide whether it can be judged in time, as it would
        if it went out sooner because it is the one after which drafting pauses.
        """
        return self._method.judges_by_ratio and self._extent.least_confidence > 0.0

    @property
    def fresh(self) -> bool:
        """Whether no block has carried text beyond the commit yet, so that the other side has nothing in hand."""
        return self._sent == 0

    @property
    def extent(self) -> DraftExtent:
        """How far the draft is to go beyond the newest commit, and its branches."""
        return self._extent

    @property
    def trunk(self) -> Trunk:
        """The draft, for branches to part from."""
        known = len(self._lead)
        first = self._tokens[0][known:] if known and self._tokens else ()
        goes_on = self._is_unsure and not self.ended
        return Trunk(self._committed.extend(to_items(first)), tuple(self._beyond), goes_on)

    def draw(self, token: DraftToken) -> None:
        """Append one drawn token.

        Raises:
            InternalError: the token contradicts the lead that it had to spell.
        """
        self._tokens.append(to_symbols((token.item,)))
        if self._lead:
            self._check_lead(token)
        self._drawn_tokens.append(token)
        if self._lead:
            self._settle_tokens()

    def draw_nothing(self) -> None:
        """After the drawn tokens the draft translates to nothing; that is to be sent with the last of them."""
        self._missing_next = True

    def commit(self, commit: Commit) -> Divergence | None:
        """Take what the target has settled; None if the drawn text agrees with it.

        After a divergence nothing is ahead, and the proposer must go on from the committed text.

        Raises:
            StateError: the commit is not the next one, or does not start where the committed text ends.
        """
        self._check(commit)
        self._committed = self._committed.extend(commit.items)
        self._committed_tokens += len(commit.items)
        self._commit_seq = commit.commit_seq
        self._limit(commit.extent)
        self._leads += [to_symbols((item,)) for item in commit.items]
        drawn = self._drawn
        agreeing = common_length(drawn, self._lead)
        agrees = agreeing == len(self._lead) and self._keeps_after(commit)
        if self._keep is not Keep.NOTHING:
            self._settle_tokens(self._standing(agreeing))
        return None if agrees else self._diverge(items_length(to_items(drawn[agreeing:])))

    def _limit(self, extent: DraftExtent) -> None:
        """Blocks of ``slrs`` are as long as its first message says."""
        if self._keep is not Keep.NOTHING:
            tokens = min(extent.ahead_tokens or self._max_ahead_tokens, self._max_ahead_tokens)
            says_more = extent.branch_tokens >= _LEAST_BRANCH_TOKENS
            self._extent = replace(
                extent,
                ahead_tokens=tokens,
                branches=min(extent.branches, MAX_BRANCHES) if says_more else 0,
                branch_tokens=min(extent.branch_tokens, MAX_BRANCH_TOKENS),
            )

    def back_up(self, pending: bytes) -> None:
        """The proposer will redraw ``pending``, the end of the committed text, with its next tokens."""
        self._leads = [tuple(pending)]

    def adopt(self, settled: Sequence[Item], tokens: Sequence[DraftToken]) -> None:
        """After a divergence: go on with what was drawn beside the draft, and begins with what was ``settled``."""
        self._leads = [to_symbols((item,)) for item in settled]
        self._tokens = [to_symbols((token.item,)) for token in tokens]
        self._drawn_tokens = list(tokens)
        self._settle_tokens()

    def take_block(self, *, paused: bool) -> Block:
        """Everything drawn and not sent yet, as one block; without text if there is nothing."""
        position = sum(len(token) for token in self._tokens[: self._sent])
        begin = max(position, len(self._lead))
        start = self._committed.extend(to_items(self._drawn[len(self._lead) : begin]))
        items: list[Item] = []
        for token in self._tokens[self._sent :]:
            items.extend(to_items(token[max(0, begin - position) :]))
            position += len(token)
        tokens = self._drawn_tokens[self._sent :]
        self._sent = len(self._tokens)
        ids = tuple(token.target_id for token in tokens if token.target_id is not None)
        return Block(self._commit_seq, start, tuple(items), paused, ids, self._evidence(tokens))

    def _evidence(self, tokens: Sequence[DraftToken]) -> Evidence | None:
        match self._method:
            case Method.TLI | Method.REJECTION:
                return ProposalEvidence(tuple(t.distribution for t in tokens if t.distribution is not None))
            case Method.SLRS:
                return PsiEvidence(tuple(t.psi for t in tokens if t.psi is not None), self._missing_next)
            case _:
                return None

    @property
    def _is_unsure(self) -> bool:
        """A token that begins in the committed text is as good as the part of it that is known: right."""
        return prod(token.confidence for token in self._beyond) < self._extent.least_confidence

    @property
    def _beyond(self) -> Sequence[DraftToken]:
        """Drawn tokens that do not begin in the committed text."""
        return self._drawn_tokens[1:] if self._lead else self._drawn_tokens

    @property
    def _lead(self) -> tuple[int, ...]:
        return tuple(symbol for lead in self._leads for symbol in lead)

    @property
    def _drawn(self) -> tuple[int, ...]:
        return tuple(symbol for token in self._tokens for symbol in token)

    def _check(self, commit: Commit) -> None:
        if commit.commit_seq != self._commit_seq + 1:
            raise StateError(f"commit {commit.commit_seq} came after commit {self._commit_seq}")
        if commit.offset != self._committed.length:
            raise StateError(
                f"commit {commit.commit_seq} starts at byte {commit.offset}, but {self._committed.length} are committed"
            )

    def _check_lead(self, token: DraftToken) -> None:
        """Take the newest token back if it contradicts the lead."""
        drawn = self._drawn
        if common_length(drawn, self._lead) < min(len(drawn), len(self._lead)):
            self._tokens.pop()
            raise InternalError(
                f"the drawn token {token.item!r} contradicts the committed text {to_items(self._lead)!r}"
            )

    def _keeps_after(self, commit: Commit) -> bool:
        """Whether the method keeps what is ahead of a commit that the drawn text begins with."""
        if self._keep is Keep.TOKENS:
            return [to_symbols((item,)) for item in commit.items] == self._tokens[: len(commit.items)]
        return self._keep is Keep.TEXT

    def _standing(self, agreeing: int) -> int:
        """Of the symbols that agree, those of tokens that stand."""
        if self._keep is Keep.TOKENS:
            return sum(map(len, self._tokens[: common_length(self._tokens, self._leads)]))
        return agreeing

    def _settle_tokens(self, agreeing: int | None = None) -> None:
        """Let go of drawn tokens that lie within the agreeing part of the lead."""
        agreeing = len(self._lead) if agreeing is None else agreeing
        ends = accumulate(map(len, self._tokens))
        count = sum(1 for _ in takewhile(lambda end: end <= agreeing, ends))
        self._shorten_lead(sum(map(len, self._tokens[:count])))
        del self._tokens[:count]
        del self._drawn_tokens[:count]
        self._sent = max(0, self._sent - count)

    def _diverge(self, wasted_bytes: int) -> Divergence:
        items = tuple(item for lead in self._leads for item in to_items(lead))
        divergence = Divergence(len(self._tokens), items, wasted_bytes)
        self._tokens.clear()
        self._drawn_tokens.clear()
        self._missing_next = False
        self._leads.clear()
        self._sent = 0
        return divergence

    def _shorten_lead(self, symbols: int) -> None:
        """Let go of so many symbols of it."""
        ends = accumulate(map(len, self._leads), initial=0)
        rests = [lead[max(0, symbols - start) :] for start, lead in zip(ends, self._leads, strict=False)]
        self._leads = [rest for rest in rests if rest]
