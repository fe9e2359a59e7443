"""The answer to one round while the engine works on it: what to say next, and what was said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, RoundTimings, TokenLogprobs, Verdict, VerifyRound
from draftmesh.decoding.stopping import Settled
from draftmesh.verifier.placement import proposes

if TYPE_CHECKING:
    from draftmesh.decoding.string_rejection import Recovered
    from draftmesh.engine.judging import Judgement
    from draftmesh.engine.stats import StepReport


class RoundAnswer:
    """Gathers a running round's steps into verdicts whose bases chain without gaps."""

    def __init__(self, request: VerifyRound, *, base: TokenPrefix, arrived_s: float) -> None:
        self.request = request
        self.judged = False
        """Whether the draft (perhaps an empty one) has been judged."""

        self.complete = False
        """Whether the engine has done all of the work."""

        self._base = base
        self._arrived_s = arrived_s
        self._sent_s: float | None = None
        self._queue_ms = 0.0
        self._last_step: StepReport | None = None
        self._clear()

    def add(self, tokens: tuple[int, ...], judgement: Judgement, step: StepReport, *, last: bool) -> None:
        """Take in what one engine step committed; ``last``: no other step follows."""
        if not self.judged:
            self._accepted = min(judgement.accepted, len(tokens)) if proposes(self.request) else 0
            self._queue_ms = max(0.0, (step.started - self._arrived_s) * 1000)
        self.judged, self.complete = True, last
        self._tokens += tokens
        self._logprobs += judgement.logprobs[: len(tokens)]
        self._steps += 1
        self._compute_ms += step.milliseconds
        self._forward_ms += step.forward_milliseconds
        self._last_step = step

    def add_recovered(self, recovered: Recovered) -> None:
        """Take in the token that followed a rejection after all; waiting for it was no computing."""
        self._tokens += (recovered.token,)
        self._logprobs += () if recovered.logprobs is None else (recovered.logprobs,)

    def due(self, now_s: float, interval_ms: float) -> bool:
        """Whether the tokens at hand must go out now: at once the first time, then before ``interval_ms`` is over.

        The next step is taken to last as long as the last one, so that waiting for it does not break the promise.
        """
        if self._sent_s is None or self._last_step is None:
            return True
        return (now_s - self._sent_s) * 1000 + self._last_step.milliseconds >= interval_ms

    def take(self, now_s: float, *, final: bool, ending: Settled) -> Verdict:
        """The verdict on everything since the last one; its times of computing count since the last one too.

        Args:
            now_s: Monotonic time.
            final: Nothing more follows for this round.
            ending: Says whether and how the generation has ended.
        """
        step = self._last_step
        verdict = Verdict(
            round=self.request.round,
            status=RoundStatus.DONE,
            base=self._base,
            accepted=self._accepted,
            tokens=self._tokens,
            finish_reason=ending.finish_reason,
            text_length=ending.text_length,
            logprobs=self._logprobs,
            final=final,
            timings=RoundTimings(self._queue_ms, self._compute_ms, self._forward_ms),
            batch_sequences=step.sequences if step else 0,
            batch_rows=step.rows - step.looked_up_rows if step else 0,
            steps=self._steps,
        )
        self._base = self._base.extend(self._tokens)
        self._sent_s = now_s
        self._clear()
        return verdict

    def _clear(self) -> None:
        self._accepted = 0
        self._tokens: tuple[int, ...] = ()
        self._logprobs: tuple[TokenLogprobs, ...] = ()
        self._steps = 0
        self._compute_ms = 0.0
        self._forward_ms = 0.0
