"""One session's place in the engine: its sequence, and the rounds that it is put through."""

from __future__ import annotations

from collections.abc import Callable

from draftmesh.core.errors import DraftmeshError, InvalidRequestError
from draftmesh.core.protocols import Clock, TokenTable
from draftmesh.core.sampling import Method
from draftmesh.core.verify import PsiQuery, PsiReply, Verdict, VerifyOpen, VerifyRound
from draftmesh.decoding.history import History
from draftmesh.decoding.stopping import StopTracker
from draftmesh.engine.engine import Engine
from draftmesh.engine.judging import Judgement
from draftmesh.engine.sequence import Sequence
from draftmesh.engine.stats import StepReport
from draftmesh.engine.step_recorder import StepRecorder
from draftmesh.transport.codec_common import Draining
from draftmesh.transport.outbox import Outbox
from draftmesh.verifier.committed import CommittedTokens
from draftmesh.verifier.gathering import Gathering
from draftmesh.verifier.placement import Work
from draftmesh.verifier.rounds import RoundLimits, Rounds
from draftmesh.verifier.run_lookup import RunLookup

Outgoing = Verdict | PsiQuery | Draining


class EngineSession:
    """Listens to one sequence on behalf of its rounds, and does for the rounds what they ask of the engine.

    Made anywhere; every method is for the engine's thread. Once the sequence is closed, or given up by the engine,
    nothing happens any more.

    Raises:
        InvalidRequestError: the committed ids have ended the generation already.
    """

    def __init__(
        self,
        request: VerifyOpen,
        table: TokenTable,
        limits: RoundLimits,
        *,
        outbox: Outbox[Outgoing],
        steps: StepRecorder,
        gathering: Gathering,
        clock: Clock,
    ) -> None:
        self._request = request
        self._history = History(table, request.sampling, request.noise_key, request.prompt_ids)
        self._outbox = outbox
        self._steps = steps
        self._gathering = gathering
        self._clock = clock
        self._limits = limits
        stop = _stop_after(request, table)
        committed = CommittedTokens(request.committed_ids)
        self._rounds = Rounds(self, committed, stop, limits, clock=clock, emit=outbox.put)
        self._engine: Engine | None = None
        self._sequence: Sequence | None = None

    def open(self, engine: Engine) -> None:
        """Take the sequence into the engine, which starts on its KV.

        Raises:
            PromptTooLongError, ExhaustedError: as ``Engine.open``.
        """
        request = self._request
        self._engine = engine
        self._sequence = engine.open(
            request.prompt_ids,
            request.committed_ids,
            self._history,
            self,
            method=request.method,
            run_drafter=self._run_lookup(),
        )

    def receive(self, request: VerifyRound, arrived_s: float) -> None:
        """Take in a round; an error in it ends the session."""
        self._take_in(lambda: self._rounds.receive(request, arrived_s))

    def answer_psi(self, reply: PsiReply) -> None:
        """Take in an answer to a question; an error in it ends the session."""
        self._take_in(lambda: self._rounds.answer_psi(reply))

    def close(self) -> None:
        """Free the sequence and its KV; closing again does nothing."""
        if self._engine is not None and self._sequence is not None:
            self._engine.close(self._sequence)
            self._gathering.forget(self._sequence.sequence_id)
        self._sequence = None

    # -- Decoding, for the rounds -----------------------------------------------------------------------------------

    def submit(self, work: Work, arrived_s: float) -> None:
        """See ``rounds.Decoding``."""
        engine, sequence = self._opened()
        engine.submit(sequence, work.draft, terms=work.evidence, run=work.run)
        self._gathering.came(sequence.sequence_id, 1 + len(work.draft), arrived_s)

    def extend(self, ids: tuple[int, ...]) -> None:
        """See ``rounds.Decoding``."""
        engine, sequence = self._opened()
        engine.extend(sequence, ids)

    def interrupt(self) -> None:
        """See ``rounds.Decoding``."""
        engine, sequence = self._opened()
        engine.interrupt(sequence)

    # -- SequenceListener, for the engine ---------------------------------------------------------------------------

    def settle(self, judgement: Judgement) -> tuple[int, ...]:
        """See ``engine.sequence.SequenceListener``."""
        return self._rounds.settle(judgement)

    def stepped(self, settled: tuple[int, ...], judgement: Judgement, step: StepReport) -> None:
        """See ``engine.sequence.SequenceListener``."""
        self._steps.record(step)
        _, sequence = self._opened()
        self._rounds.stepped(settled, judgement, step, last=not sequence.busy)
        if self._rounds.needs_round:
            self._gathering.left(sequence.sequence_id, len(settled), self._clock.monotonic())

    def failed(self, error: DraftmeshError) -> None:
        """See ``engine.sequence.SequenceListener``."""
        if self._sequence is not None:
            self._gathering.forget(self._sequence.sequence_id)
        self._sequence = None
        self._outbox.close(error)

    def _run_lookup(self) -> RunLookup | None:
        """What drafts while nobody sends a draft; not where that would be another law, or where none was asked for."""
        most, method = self._limits.lookup_tokens, self._request.method
        if not most or method is Method.OFF or method.judges_by_ratio:
            return None
        return RunLookup(most)

    def _take_in(self, message: Callable[[], None]) -> None:
        if self._sequence is None:
            return
        try:
            message()
        except Exception as error:
            self.close()
            self._outbox.close(error)

    def _opened(self) -> tuple[Engine, Sequence]:
        assert self._engine is not None, "rounds run on an engine"
        assert self._sequence is not None, "rounds run on an open sequence"
        return self._engine, self._sequence


def _stop_after(request: VerifyOpen, table: TokenTable) -> StopTracker:
    stop = StopTracker(request.stop, table)
    settled = stop.settle(request.committed_ids)
    if settled.finish_reason is not None:
        raise InvalidRequestError(
            f"the generation has ended ({settled.finish_reason.name.lower()}) after {len(settled.tokens)} of the "
            f"{len(request.committed_ids)} committed tokens"
        )
    return stop
