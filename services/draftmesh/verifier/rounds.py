"""The rules of one session's rounds: which round runs when, on which tokens, and what is answered.

A pure state machine: it knows neither asyncio nor grpc nor torch, and runs on the engine's thread, where it hears of
new rounds and of engine steps. Everything between two steps is a token boundary, so it needs no locks.

* A round runs as soon as it fits the committed tokens (``placement``) and no draft is being judged; a free run gives
  way to it. If several fit, the lowest number goes first.
* A round whose base lies beyond the committed tokens waits while something runs. When nothing runs any more, or
  the tokens have passed it by, it is stale.
* A stale round is answered with the present state, costs nothing and stops nothing: a free run goes on. So answers
  can overtake each other: a stale round's comes before the last one of the free run that it met.
* A round without a draft that lags behind asks for no more than it did: a step less for each token that is there
  already. It replaces the free run that it met.
* A judgement may leave its last token open (``slrs``: the residual of a rejected draft). The round then asks for ψ and
  waits (``recovery``), as often as it takes; while it waits no other round and no free run begins, for the position
  belongs to this draft. One verdict says it all: the accepted tokens and the recovered one. If the accepted tokens
  have ended the generation, nothing is asked. A round that is repeated while it waits repeats its question.
* When the generation has ended, every round is stale, and its verdict repeats the finish reason and text length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from draftmesh.core.errors import BaseBeyondSequenceError, ExhaustedError
from draftmesh.core.protocols import Clock
from draftmesh.core.verify import PsiQuery, PsiReply, RoundStatus, Verdict, VerifyRound
from draftmesh.decoding.stopping import Settled, StopTracker
from draftmesh.verifier.answer import RoundAnswer
from draftmesh.verifier.committed import CommittedTokens
from draftmesh.verifier.placement import Placement, Work, place, reach, remaining_work
from draftmesh.verifier.recovery import Recovery
from draftmesh.verifier.round_log import LoggedRound, RoundLog

if TYPE_CHECKING:
    from draftmesh.engine.judging import Judgement
    from draftmesh.engine.stats import StepReport


class Decoding(Protocol):
    """The engine's one sequence of this session."""

    def submit(self, work: Work, arrived_s: float) -> None:
        """Have work done that came at that monotonic time.

        Every step of it is reported to :meth:`Rounds.settle` and :meth:`Rounds.stepped`.
        """

    def extend(self, ids: tuple[int, ...]) -> None:
        """Append tokens that a residual has recovered, between two pieces of work."""

    def interrupt(self) -> None:
        """Drop what is left of the free run."""


@dataclass(frozen=True, slots=True)
class RoundLimits:
    """Bounds of one session's rounds."""

    max_waiting_rounds: int
    kept_rounds: int
    """Answered rounds whose verdicts can be asked for again, at least."""

    flush_interval_ms: float
    """A free run's tokens are sent at least this often."""

    lookup_tokens: int = 0
    """Tokens that a step without a draft looks up and judges at most."""


class Rounds:
    """The rounds of one session, from the first one to the end of the generation."""

    def __init__(
        self,
        decoding: Decoding,
        committed: CommittedTokens,
        stop: StopTracker,
        limits: RoundLimits,
        *,
        clock: Clock,
        emit: Callable[[Verdict | PsiQuery], None],
    ) -> None:
        """Start from what is committed already; ``stop`` has seen those tokens and did not end on them."""
        self._decoding = decoding
        self._committed = committed
        self._stop = stop
        self._limits = limits
        self._clock = clock
        self._emit = emit
        self._log = RoundLog(limits.kept_rounds)
        self._waiting: list[VerifyRound] = []
        self._running: RoundAnswer | None = None
        self._recovery = Recovery(emit)
        self._ending = Settled(())
        self._reachable = len(committed)

    @property
    def needs_round(self) -> bool:
        """Whether nothing happens until another round comes."""
        return self._running is None and not self._has_ended

    def receive(self, request: VerifyRound, arrived_s: float) -> None:
        """Take in a round that is well-formed (``admission.check_round``) and arrived at that monotonic time.

        Raises:
            StateError: its number leaves a gap, is too old, or stands for another round already.
            BaseBeyondSequenceError: no round so far could lead to its base, whatever the target says.
            ExhaustedError: too many rounds wait already.
        """
        repeated = self._log.find_repeated(request)
        if repeated is not None:
            self._say_again(repeated)
            return
        self._check_reachable(request)
        if len(self._waiting) >= self._limits.max_waiting_rounds:
            raise ExhaustedError(f"{len(self._waiting)} rounds are waiting already")
        self._log.add(request, arrived_s)
        self._waiting.append(request)
        self._advance()

    def settle(self, judgement: Judgement) -> tuple[int, ...]:
        """Which of the judged tokens to commit: the stop conditions cut here."""
        self._ending = self._stop.settle(judgement.tokens)
        return self._ending.tokens

    def stepped(self, settled: tuple[int, ...], judgement: Judgement, step: StepReport, *, last: bool) -> None:
        """Take in the tokens that an engine step has committed; ``last``: it was the work's last one."""
        answer = self._running
        assert answer is not None, "the engine stepped a sequence that has no work"
        self._committed.extend(settled)
        answer.add(settled, judgement, step, last=last)
        if judgement.residual is not None and self._ending.finish_reason is None:
            self._recovery.begin(judgement.residual, self._committed.prefix)
        else:
            self._go_on(answer)

    def answer_psi(self, reply: PsiReply) -> None:
        """Take in values of ψ: the round that waits for them commits its last token, or asks for more.

        Raises:
            StateError: the question was never asked.
            InvalidRequestError: there is not one value for each id that was asked for.
        """
        recovered = self._recovery.answer(reply)
        if recovered is None:
            return
        answer = self._running
        assert answer is not None, "a residual belongs to the running round"
        self._ending = self._stop.settle((recovered.token,))
        self._decoding.extend(self._ending.tokens)
        self._committed.extend(self._ending.tokens)
        answer.add_recovered(recovered)
        self._go_on(answer)

    def _go_on(self, answer: RoundAnswer) -> None:
        """The running round has new tokens: end it, let another take over, or say them when it is time."""
        if answer.complete or self._has_ended:
            self._end_running()
        self._advance()
        if self._running is answer and answer.due(self._clock.monotonic(), self._limits.flush_interval_ms):
            self._say(answer.take(self._clock.monotonic(), final=False, ending=self._ending))

    def _check_reachable(self, request: VerifyRound) -> None:
        # Counted over all rounds ever asked, so that it does not depend on how far the engine has come.
        if request.base.length > self._reachable:
            raise BaseBeyondSequenceError(
                f"round {request.round} starts after {request.base.length} tokens, but no round so far "
                f"leads beyond {self._reachable} ({len(self._committed)} are committed)"
            )
        self._reachable = max(self._reachable, reach(request))

    def _advance(self) -> None:
        """At a token boundary: start the first round that fits, and answer those that never will."""
        if self._running is not None and (self._recovery.waits or not self._running.judged):
            return
        placed = [(request, self._place(request)) for request in self._waiting]
        fitting = next((request for request, placement in placed if placement is Placement.NOW), None)
        if fitting is not None:
            self._start(fitting)
        for request, placement in placed:
            if placement is Placement.NEVER:
                self._answer_stale(request)
        if self._running is None:
            for request in tuple(self._waiting):
                self._answer_stale(request)

    def _place(self, request: VerifyRound) -> Placement:
        return Placement.NEVER if self._has_ended else place(request, self._committed)

    def _start(self, request: VerifyRound) -> None:
        if self._running is not None:
            self._end_running()
        self._waiting.remove(request)
        work = remaining_work(request, self._committed, self._stop.remaining_tokens)
        arrived_s = self._log[request.round].arrived_s
        self._running = RoundAnswer(request, base=self._committed.prefix, arrived_s=arrived_s)
        self._decoding.submit(work, arrived_s)

    def _end_running(self) -> None:
        """Say the last of the running round; whatever free run is left of it is dropped."""
        answer = self._running
        assert answer is not None, "no round is running"
        if not answer.complete:
            self._decoding.interrupt()
        self._running = None
        self._say(answer.take(self._clock.monotonic(), final=True, ending=self._ending))

    @property
    def _has_ended(self) -> bool:
        return self._ending.finish_reason is not None

    def _say_again(self, repeated: LoggedRound) -> None:
        for verdict in repeated.verdicts:
            self._emit(verdict)
        if self._recovery.waits and self._running is not None and self._running.request == repeated.request:
            self._recovery.repeat()

    def _answer_stale(self, request: VerifyRound) -> None:
        self._waiting.remove(request)
        self._say(
            Verdict(
                round=request.round,
                status=RoundStatus.STALE,
                base=self._committed.prefix,
                finish_reason=self._ending.finish_reason,
                text_length=self._ending.text_length,
                batch_sequences=0,
                batch_rows=0,
            )
        )

    def _say(self, verdict: Verdict) -> None:
        self._log[verdict.round].verdicts.append(verdict)
        self._emit(verdict)
