"""Makes the rounds of what a session has decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from draftmesh.coordinator.loop.guesses import Guess
from draftmesh.coordinator.loop.proposals import Decision, Proposals
from draftmesh.coordinator.loop.transcript import Transcript
from draftmesh.core.verify import VerifyRound


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A round to send."""

    request: VerifyRound
    expected_ids: tuple[int, ...] = ()
    """The tokens between what is committed and its base."""


class RoundMaker:
    """Of one session, which ends after ``max_tokens``."""

    def __init__(self, transcript: Transcript, proposals: Proposals, *, max_tokens: int) -> None:
        self._transcript = transcript
        self._proposals = proposals
        self._max_tokens = max_tokens

    @property
    def remaining_tokens(self) -> int:
        """Tokens that may still be generated."""
        return self._max_tokens - len(self._transcript.ids)

    def of(self, decision: Decision, number: int) -> Iterator[Outgoing]:
        """The rounds to send, the first of that number, in this order."""
        if decision.draft:
            yield self._drafted(Guess((), decision.draft), number)
        if decision.free_run:
            steps = self.remaining_tokens if decision.run_steps is None else decision.run_steps
            free_run = min(steps, self.remaining_tokens)
            yield Outgoing(VerifyRound(number, self._transcript.prefix, free_run=free_run))
        for ahead, one in enumerate(decision.ahead, number):
            yield self._drafted(one, ahead)

    def _drafted(self, one: Guess, number: int) -> Outgoing:
        base, draft = self._transcript.prefix.extend(one.expected_ids), one.draft
        left_tokens = self.remaining_tokens - len(one.expected_ids) - len(draft.ids) - 1
        run_on = self._proposals.run_on_steps(max(0, left_tokens))
        return Outgoing(VerifyRound(number, base, draft.ids, draft.evidence, run_on), one.expected_ids)
