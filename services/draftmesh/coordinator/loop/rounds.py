"""The rounds asked on one stream to a verifier, and which of its answers count.

The first answer to a round wins: repeated verdicts are ignored, and so is what a verdict says about tokens that are
committed already. A verdict that does not continue the committed tokens means that the two sides have lost each
other; the stream is of no use then, and opening another one with the committed ids sets things right.

Rounds may be sent ahead, several for one draft that is being judged: each follows something else that the target may
say, and others may follow what it may say to those. Those that follow what it has not said then are *moot*, and so is
a draft that meets a free run which says something else. The verifier answers moot rounds as stale, and nobody waits for
that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from draftmesh.coordinator.loop.open_round import OpenRound
from draftmesh.core.errors import UnavailableError
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
        """Steps of the target that it tells of: one for a draft, and one for every token said without one.

        Fewer, if some of those were looked up.
        """
        return 0 if self.is_stale else self.verdict.steps or int(self.judges) + self._free_tokens

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
        self._open: dict[int, OpenRound] = {}
        self._moot: set[int] = set()  # not answered yet either
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

    @property
    def judged(self) -> VerifyRound | None:
        """The round whose draft the verifier is at; None if there is none.

        A round that was sent ahead is not, until what it follows is committed. One whose draft has been judged may run
        on.
        """
        return next((one.request for one in self._drafts if not one.expected_ids), None)

    @property
    def drafts(self) -> Mapping[tuple[int, ...], tuple[int, ...]]:
        """What is still to be judged of every draft, by what the target has to say first: nothing for that one."""
        drafts: dict[tuple[int, ...], tuple[int, ...]] = {}
        for one in self._drafts:
            drafts.setdefault(one.expected_ids, one.draft_ids)  # the verifier takes the first one that fits
        return drafts

    @property
    def runs_freely(self) -> bool:
        """Whether the target may say something before it comes to a draft, so that none is sure to be computed."""
        return any(one.is_judged or not one.proposes for one in self._open.values())

    def refuses_at(self, base: TokenPrefix) -> bool:
        """Whether a draft from ``base`` was answered as stale: the target has gone another way from there."""
        return self._refused_at == base

    def ask(self, request: VerifyRound, expected_ids: tuple[int, ...] = ()) -> None:
        """A round goes out; ``expected_ids``: the tokens between what is committed and its base."""
        assert request.round == self._next_round, "rounds count without gaps"
        self._open[request.round] = OpenRound(request, expected_ids, request.draft_ids)
        self._next_round += 1

    def match(self, verdict: Verdict, committed: TokenPrefix) -> Answer | None:
        """What ``verdict`` answers; None when it says nothing new.

        Raises:
            UnavailableError: the verifier and this side do not speak of the same tokens.
        """
        if verdict.round in self._moot:
            return self._strike(verdict)
        known = self._open.get(verdict.round)
        if known is None:
            return None
        if verdict.status is RoundStatus.STALE:
            self._refuse(known, verdict, committed)
            return Answer(verdict, judged_tokens=0)
        if verdict.base.length < committed.length:
            return None
        if verdict.base != committed or verdict.accepted > min(len(verdict.tokens), len(known.request.draft_ids)):
            raise UnavailableError(f"the verdict on round {verdict.round} does not continue the committed tokens")
        judges = known.proposes and not known.is_judged
        self._said(known, verdict)
        has_prefill, self._has_answered = not self._has_answered, True
        # Draft tokens that a free run had committed before the round arrived were not judged.
        judged_tokens = len(known.draft_ids) if judges else 0
        return Answer(verdict, judged_tokens, judges=judges, has_prefill=has_prefill)

    @property
    def _drafts(self) -> Iterator[OpenRound]:
        return (one for one in self._open.values() if one.proposes and not one.is_judged)

    def _said(self, answered: OpenRound, verdict: Verdict) -> None:
        """Tokens are said, by the judging of a draft or without one: other drafts have come nearer, or are moot."""
        del self._open[verdict.round]
        left = {number: one.after(verdict.tokens) for number, one in self._open.items()}
        self._open = {number: one for number, one in left.items() if one is not None}
        self._moot |= left.keys() - self._open.keys()
        if not verdict.final:
            self._open = {verdict.round: replace(answered, is_judged=True), **self._open}

    def _strike(self, verdict: Verdict) -> Answer:
        if verdict.status is not RoundStatus.STALE:
            raise UnavailableError(f"the verifier computes round {verdict.round} after other tokens than it follows")
        self._moot.remove(verdict.round)
        return Answer(verdict, judged_tokens=0, is_moot=True)

    def _refuse(self, known: OpenRound, verdict: Verdict, committed: TokenPrefix) -> None:
        del self._open[verdict.round]
        if not known.expected_ids:
            self._refused_at = known.request.base
        # While a free run goes on, its tokens may still be on their way: the answer has overtaken them.
        if self.is_idle and (verdict.base != committed or not known.proposes):
            raise UnavailableError(f"the verifier refuses round {verdict.round} and is somewhere else")
