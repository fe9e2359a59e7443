"""The rounds asked on one stream to a verifier, and which of its answers count.

The first answer to a round wins: repeated verdicts are ignored, and so is what a verdict says about tokens that are
committed already. A verdict that does not continue the committed tokens means that the two sides have lost each
other; the stream is of no use then, and opening another one with the committed ids sets things right.

Rounds may be sent ahead, several for one draft that is being judged: each follows something else that the target may
say. When it has said it, the one that follows that is judged next, and the others are *moot*. So is a draft that meets
a free run which says something else. The verifier answers moot rounds as stale, and nobody waits for that.
"""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.errors import UnavailableError
from draftmesh.core.evidence import PsiEvidence
from draftmesh.core.ledger import Ledger
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, Verdict, VerifyRound


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict that counts."""

    verdict: Verdict
    judged_tokens: int
    """Draft tokens that it judges; 0 if it tells of a free run, is stale, or judges a draft that proposes nothing."""

    judges: bool = False
    """Whether it judges a draft."""

    has_prefill: bool = False
    """Whether it is the stream's first: its steps have computed the prompt too."""

    is_moot: bool = False
    """Whether it refuses a round of which this side has heard already that it follows what has not come true."""

    @property
    def is_stale(self) -> bool:
        """Whether the round was refused: nothing was computed."""
        return self.verdict.status is RoundStatus.STALE

    @property
    def target_steps(self) -> int:
        """Steps of the target that it tells of: one for a draft, and one for every token said without one."""
        return 0 if self.is_stale else int(self.judges) + self._free_tokens

    @property
    def rows_without_draft(self) -> int:
        """Rows that its last step would have had, over all sessions, if this one had not drafted."""
        return max(1, self.verdict.batch_rows - self.judged_tokens)

    @property
    def _free_tokens(self) -> int:
        """A round that ends the generation may lack its recovered or bonus token."""
        return max(0, len(self.verdict.tokens) - self.verdict.accepted - int(self.judges))

    def ledger(self, committed_bytes: int, verify_wait_ms: float) -> Ledger:
        """What it adds to the books, beside what it took."""
        verdict = self.verdict
        if self.is_stale:
            return Ledger(stale_rounds=1, verify_wait_ms=verify_wait_ms)
        return Ledger(
            rounds=int(self.judges),
            drafted_tokens=self.judged_tokens,
            accepted_tokens=verdict.accepted,
            committed_tokens=len(verdict.tokens),
            committed_bytes=committed_bytes,
            target_steps=self.target_steps,
            free_run_tokens=self._free_tokens,
            verify_wait_ms=verify_wait_ms,
            accepted_per_position=(1,) * verdict.accepted,
            drafted_per_position=(1,) * self.judged_tokens,
        )


class RoundBook:
    """Rounds that have been asked and not been answered for the last time."""

    def __init__(self) -> None:
        self._next_round = 1
        self._open: dict[int, VerifyRound] = {}
        self._moot: set[int] = set()  # not answered yet either
        self._judged_to = 0  # the newest round whose draft has been judged
        self._refused_at: TokenPrefix | None = None
        self._has_answered = False

    @property
    def next_round(self) -> int:
        """The number of the next round."""
        return self._next_round

    @property
    def unanswered(self) -> int:
        """Rounds that the verifier has not said the last of: no more of them wait there."""
        return len(self._open) + len(self._moot)

    @property
    def is_idle(self) -> bool:
        """Whether the verifier has nothing to do."""
        return not self._open

    def judged(self, committed: TokenPrefix) -> VerifyRound | None:
        """The round whose draft the verifier is at; None if there is none.

        A round that was sent ahead is not, until what it follows is committed. One whose draft has been judged may run
        on.
        """
        drafts = (request for request in self._open.values() if _proposes(request) and request.round > self._judged_to)
        return next((request for request in drafts if not _is_ahead(request, committed)), None)

    def ahead(self, committed: TokenPrefix) -> tuple[VerifyRound, ...] | None:
        """Rounds that were sent ahead on the draft that is being judged; None if another round is still open.

        Only if none is, that draft is sure to be computed, and more may be sent ahead on it.
        """
        ahead = tuple(request for request in self._open.values() if _is_ahead(request, committed))
        return ahead if len(self._open) == len(ahead) + 1 else None

    def refuses_at(self, base: TokenPrefix) -> bool:
        """Whether a draft from ``base`` was answered as stale: the target has gone another way from there."""
        return self._refused_at == base

    def ask(self, request: VerifyRound) -> None:
        """A round goes out."""
        assert request.round == self._next_round, "rounds count without gaps"
        self._open[request.round] = request
        self._next_round += 1

    def match(self, verdict: Verdict, committed: TokenPrefix) -> Answer | None:
        """What ``verdict`` answers; None when it says nothing new.

        Raises:
            UnavailableError: the verifier and this side do not speak of the same tokens.
        """
        if verdict.round in self._moot:
            return self._strike(verdict)
        request = self._open.get(verdict.round)
        if request is None:
            return None
        if verdict.status is RoundStatus.STALE:
            self._refuse(request, verdict, committed)
            return Answer(verdict, judged_tokens=0)
        if verdict.base.length < committed.length:
            return None
        if verdict.base != committed or verdict.accepted > min(len(verdict.tokens), len(request.draft_ids)):
            raise UnavailableError(f"the verdict on round {verdict.round} does not continue the committed tokens")
        if verdict.final:
            del self._open[verdict.round]
        has_prefill, self._has_answered = not self._has_answered, True
        judges = request.round > self._judged_to and _proposes(request)
        self._drop_moot(verdict, judges=judges)
        if not judges:
            return Answer(verdict, 0, has_prefill=has_prefill)
        self._judged_to = request.round
        # Draft tokens that a free run had committed before the round arrived were not judged.
        judged_tokens = len(request.draft_ids) - (verdict.base.length - request.base.length)
        return Answer(verdict, judged_tokens, judges=True, has_prefill=has_prefill)

    def _drop_moot(self, verdict: Verdict, *, judges: bool) -> None:
        """Tokens are said, by the judging of a draft or without one: rounds that follow others will not be computed."""
        moot = {
            request.round
            for request in self._open.values()
            if request.round > max(verdict.round, self._judged_to) and _is_passed(request, verdict, judges=judges)
        }
        self._open = {number: request for number, request in self._open.items() if number not in moot}
        self._moot |= moot

    def _strike(self, verdict: Verdict) -> Answer:
        if verdict.status is not RoundStatus.STALE:
            raise UnavailableError(f"the verifier computes round {verdict.round} after other tokens than it follows")
        self._moot.remove(verdict.round)
        return Answer(verdict, judged_tokens=0, is_moot=True)

    def _refuse(self, request: VerifyRound, verdict: Verdict, committed: TokenPrefix) -> None:
        del self._open[request.round]
        if not _is_ahead(request, committed):
            self._refused_at = request.base
        # While a free run goes on, its tokens may still be on their way: the answer has overtaken them.
        if self.is_idle and (verdict.base != committed or not _proposes(request)):
            raise UnavailableError(f"the verifier refuses round {verdict.round} and is somewhere else")


def _is_ahead(request: VerifyRound, committed: TokenPrefix) -> bool:
    return request.base.length >= committed.length and request.base != committed


def _proposes(request: VerifyRound) -> bool:
    """Whether there is a position to judge; a block of ``slrs`` may have no token and propose nothing at its start."""
    return bool(request.draft_ids) or request.evidence is not None


def _is_passed(request: VerifyRound, verdict: Verdict, *, judges: bool) -> bool:
    """Whether a draft that has not been judged follows something else than what the verdict says."""
    if not _proposes(request) or isinstance(request.evidence, PsiEvidence):
        return False  # a free run runs on until it is answered; a block of slrs meets none
    lag = verdict.base.length - request.base.length
    if lag < 0:
        return judges and request.base != verdict.base.extend(verdict.tokens)
    rest = request.draft_ids[lag:]
    return len(rest) <= len(verdict.tokens) or rest[: len(verdict.tokens)] != verdict.tokens
