"""How long drafters take to go on after a commit: their own time, and the way there and back."""

from __future__ import annotations

from draftmesh.core.moving_average import MovingAverage
from draftmesh.core.protocols import Clock


class AnswerTimes:
    """Of the drafters of one session, one after the other."""

    def __init__(self, clock: Clock) -> None:
        """Nobody is at work yet."""
        self._clock = clock
        self._mean_ms = MovingAverage(1.0)
        self._settled_s: float | None = None  # what the drafter has not been told yet is committed since
        self._asked_s: dict[int, float] = {}  # since when what each unanswered commit tells is committed
        self._used_s: float | None = None

    @property
    def ms(self) -> float:
        """From a commit to the next block; 0 until it is measured."""
        return self._mean_ms.value

    @property
    def due_ms(self) -> float:
        """Until the draft can be expected to get longer; 0 if it is just doing so, or overdue, or nothing is known."""
        now_s, since_s = self._clock.monotonic(), next(iter(self._asked_s.values()), self._settled_s)
        if since_s is None or (self._used_s is not None and now_s - self._used_s < _FLOWING_S):
            return 0.0
        return max(0.0, self.ms - (now_s - since_s) * 1e3)

    def restart(self, mean_ms: MovingAverage) -> None:
        """A stream begins, to a drafter that has been measured so far; that goes on.

        What it is told first is not measured, for a prompt may have to be computed.
        """
        self._mean_ms = mean_ms
        self._forget()

    def settled(self, *, parts: bool) -> None:
        """Tokens have been committed; if they part from the draft, what the drafter was asked before is of no use."""
        if parts:
            self._forget()
        if self._settled_s is None:
            self._settled_s = self._clock.monotonic()

    def told(self, commit_seq: int) -> None:
        """The drafter is told of all that is committed."""
        if self._settled_s is not None:
            self._asked_s[commit_seq] = self._settled_s
        self._settled_s = None

    def heard(self, commit_seq: int) -> None:
        """It has sent a block, of which it knew so many commits."""
        answered = [known for known in self._asked_s if known <= commit_seq]
        if answered and answered[-1] == commit_seq:
            self._mean_ms.add((self._clock.monotonic() - self._asked_s[commit_seq]) * 1e3)
        for known in answered:
            del self._asked_s[known]

    def used(self) -> None:
        """A block was of use: the next one may follow at once."""
        self._used_s = self._clock.monotonic()

    def _forget(self) -> None:
        """What is under way is not waited for."""
        self._settled_s = self._used_s = None
        self._asked_s.clear()


_FLOWING_S = 0.015
"""While a drafter draws, its blocks follow each other more quickly than this, if it is worth waiting for."""
