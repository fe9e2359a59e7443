"""The batch engine: many sequences, one forward a step."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from collections.abc import Sequence as Seq

import structlog

from draftmesh.core.errors import (
    DraftmeshError,
    ExhaustedError,
    InternalError,
    PromptEmptyError,
    PromptTooLongError,
    StateError,
)
from draftmesh.core.sampling import Method
from draftmesh.decoding.history import History
from draftmesh.engine.batch_judging import as_draftmesh_error, judge_batch
from draftmesh.engine.judging import Judge, Judgement
from draftmesh.engine.limits import EngineLimits
from draftmesh.engine.looking_up import look_up
from draftmesh.engine.model_runner import Runner
from draftmesh.engine.paging import Paging
from draftmesh.engine.scheduler import Ready, ScheduledRows, Scheduler
from draftmesh.engine.sequence import RunDrafter, Sequence, SequenceListener
from draftmesh.engine.stats import EngineStats, Sharing, StepMeter, StepReport

_log = structlog.get_logger(__name__)


class Engine:
    """Sequences over one model. Not thread-safe: every method runs on the engine's thread.

    ``step`` is the whole of it: schedule, run, judge, commit. Between steps sequences are opened, given requests,
    rewound and closed; listeners are called at the end of a step and may do all of that themselves.
    """

    def __init__(
        self,
        runner: Runner,
        judge: Judge,
        paging: Paging,
        limits: EngineLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._runner = runner
        self._judge = judge
        self._paging = paging
        self._clock = clock
        self._scheduler = Scheduler(paging, limits.token_budget_tokens)
        self._meter = StepMeter(limits.token_budget_tokens)
        self._sequences: dict[int, Sequence] = {}
        self._ids = itertools.count(1)

    # -- sequences ------------------------------------------------------------------------------------------------

    def open(
        self,
        prompt_ids: Seq[int],
        generated_ids: Seq[int],
        history: History,
        listener: SequenceListener,
        *,
        method: Method,
        run_drafter: RunDrafter | None = None,
    ) -> Sequence:
        """Take a sequence in; its KV is computed as room allows, before the first request if possible.

        ``history`` knows the prompt; whatever it lacks of ``generated_ids`` is appended to it. Steps without a draft
        have one of ``run_drafter``.

        Raises:
            PromptEmptyError: no token at all to predict from.
            InvalidTokenError: an id outside the vocabulary.
            PromptTooLongError: no room left in the model's context for one more token.
            ExhaustedError: too many sequences, or the KV pool is too small for this one.
        """
        tokens = [*prompt_ids, *generated_ids]
        if not tokens:
            raise PromptEmptyError("the prompt has no tokens")
        self.limits.check_ids(tokens)
        self.limits.check_length(len(tokens) + 1)
        if len(self._sequences) >= self.limits.max_sequences:
            raise ExhaustedError(f"all {self.limits.max_sequences} sequences are in use")
        history.append(generated_ids[len(history) :])
        seq = Sequence(next(self._ids), tokens, len(prompt_ids), history, listener, method, run_drafter)
        self._sequences[seq.sequence_id] = seq
        self._scheduler.add(seq)
        return seq

    def submit(self, seq: Sequence, draft: Seq[int] = (), *, terms: object | None = None, run: int = 0) -> None:
        """Judge ``draft``; then decode for up to ``run`` more steps, as far as the context reaches.

        The listener hears after every step: of 1 to ``1 + len(draft)`` tokens first, of one token each time then, or
        more where the sequence has a run drafter. A judgement with a residual ends the request after the tokens that it
        accepts, perhaps none.

        Args:
            seq: A sequence at rest.
            draft: Ids that the judge knows. One that the model has no row for can only be rejected, so what the model
                would say after it is of no account.
            terms: What the judge has to know of the draft; not looked at here.
            run: Steps to take after the judging step.

        Raises:
            StateError: the sequence is closed, or busy with a request.
            PromptTooLongError: the draft has more than :meth:`room` tokens.
        """
        self._check_rests(seq)
        if len(draft) > (room := self.room(seq)) or room < 0:
            raise PromptTooLongError(f"a draft of {len(draft)} tokens, but there is room for {max(0, room)}")
        seq.begin(tuple(draft), terms, run)

    def room(self, seq: Sequence) -> int:
        """Draft tokens that a request may have now; negative when the context is full."""
        return min(self._remaining(seq), self.limits.token_budget_tokens - 1)

    def interrupt(self, seq: Sequence) -> None:
        """Drop what is left of the request, at once: between steps every sequence is at a token boundary.

        Of a step that its listener has not heard of yet, it does not hear any more.
        """
        seq.rest()

    def rewind(self, seq: Sequence, num_tokens: int) -> None:
        """Keep ``tokens[:num_tokens]`` and their KV; the prompt always stays.

        Raises:
            StateError: the sequence is busy, or does not have that many tokens, or the prompt is longer.
        """
        self._check_rests(seq)
        if not seq.prompt_length <= num_tokens <= len(seq.tokens):
            raise StateError(f"cannot rewind {len(seq.tokens)} tokens to {num_tokens}")
        del seq.tokens[num_tokens:]
        seq.history.truncate(num_tokens - seq.prompt_length)
        self._paging.retract(seq, num_tokens)

    def extend(self, seq: Sequence, ids: Seq[int]) -> None:
        """Append settled tokens without judging them; they get KV with the next step.

        Raises:
            StateError: the sequence is closed, or busy.
            InvalidTokenError: an id outside the vocabulary.
            PromptTooLongError: the context is full.
        """
        self._check_rests(seq)
        self.limits.check_ids(ids)
        self.limits.check_length(len(seq.tokens) + len(ids))
        seq.history.append(ids)
        seq.tokens.extend(ids)

    def close(self, seq: Sequence) -> None:
        """Forget the sequence and free its blocks; closing again does nothing."""
        if seq.closed:
            return
        seq.rest()
        seq.closed = True
        self._paging.release(seq)
        self._scheduler.remove(seq)
        del self._sequences[seq.sequence_id]

    # -- steps ----------------------------------------------------------------------------------------------------

    def step(self) -> StepReport | None:
        """One forward for all sequences that have tokens to catch up; None when there is nothing to do."""
        started = self._clock()
        self._look_up()
        batch = self._scheduler.schedule()
        if not batch:
            return None
        packed = [rows.packed(self.limits.vocabulary_size) for rows in batch]
        began = self._clock()
        logits = self._runner.run(packed)
        forward_ms = 1000.0 * (self._clock() - began)
        judged = [rows.seq for rows in batch if rows.judged]
        looked_up_rows = sum(seq.looked_up for seq in judged)
        said = judge_batch(self._judge, logits, judged)
        settled = self._commit_all(batch, said)
        report = self._report(batch, started, forward_ms, looked_up_rows)
        self._notify(settled, report)
        return report

    def fail_all(self, error: DraftmeshError) -> None:
        """Close every sequence with ``error``: nothing is known of their state any more."""
        for seq in list(self._sequences.values()):
            self._fail(seq, error)

    @property
    def ready(self) -> Ready:
        """What the next step could compute now."""
        return self._scheduler.ready

    @property
    def sequences(self) -> tuple[Sequence, ...]:
        """Open sequences, the oldest first."""
        return tuple(self._sequences.values())

    @property
    def stats(self) -> EngineStats:
        """A snapshot; may be read from any thread."""
        return EngineStats(
            sequences=len(self._sequences),
            max_sequences=self.limits.max_sequences,
            waiting=self._scheduler.waiting,
            free_blocks=self._paging.free_blocks,
            total_blocks=self._paging.total_blocks,
            batch_sequences=self._meter.batch_sequences,
            batch_rows=self._meter.batch_rows,
            token_budget=self.limits.token_budget_tokens,
            costs=self._meter.costs,
            steps=self._meter.steps,
            rows=self._meter.rows,
            sequence_steps=self._meter.sequence_steps,
            preemptions=self._scheduler.preemptions,
            prefix_hit_tokens=self._paging.prefix_hit_tokens,
        )

    def restart_meter(self, costs: Iterable[StepReport]) -> None:
        """Forget all steps so far; the cost curve begins with ``costs``."""
        self._meter = StepMeter(self.limits.token_budget_tokens)
        for report in costs:
            self._meter.add_cost(report)

    def check_integrity(self) -> None:
        """Raise AssertionError unless the books of blocks and sequences agree."""
        self._paging.check_integrity(list(self._sequences.values()))

    def _look_up(self) -> None:
        lookers = [seq for seq in self._sequences.values() if seq.looks_up]
        if not lookers:
            return
        ready, budget = self._scheduler.ready, self.limits.token_budget_tokens
        sharing = Sharing(ready.rows, budget - ready.rows, ready.sequences, len(lookers), self._meter.costs)
        for seq, error in look_up(lookers, self.room, sharing, self._paging):
            self._fail(seq, error)

    def _commit_all(
        self, batch: list[ScheduledRows], said: dict[int, Judgement | DraftmeshError]
    ) -> list[tuple[Sequence, Judgement, tuple[int, ...]]]:
        """Bring every sequence of the batch up to date; who was judged, with what, and what of it stands."""
        done: list[tuple[Sequence, Judgement, tuple[int, ...]]] = []
        for rows in batch:
            seq = rows.seq
            seq.computed_rows += rows.count
            judgement = said.get(seq.sequence_id)
            if seq.closed:
                continue
            if judgement is None:
                self._advance(seq, rows.start + rows.count)
            elif isinstance(judgement, DraftmeshError):
                self._fail(seq, judgement)
            else:
                self._try_commit(seq, judgement, done)
        return done

    def _try_commit(
        self, seq: Sequence, judgement: Judgement, done: list[tuple[Sequence, Judgement, tuple[int, ...]]]
    ) -> None:
        try:
            done.append((seq, judgement, self._commit(seq, judgement)))
            seq.has_news = True
        except Exception as error:
            self._fail(seq, as_draftmesh_error(error))

    def _commit(self, seq: Sequence, judgement: Judgement) -> tuple[int, ...]:
        settled = seq.listener.settle(judgement)
        if settled != judgement.tokens[: len(settled)]:
            raise InternalError("a listener settled tokens that were not judged")
        if not all(0 <= token < self.limits.vocabulary_size for token in settled):
            raise InternalError("a judge accepted a token that the model has no row for")
        base = len(seq.tokens)
        seq.history.append(settled)
        seq.tokens.extend(settled)
        self._advance(seq, base + min(judgement.accepted, len(settled)))
        self._paging.trim(seq, len(seq.tokens))
        if self._ends(seq, judgement, settled):
            seq.rest()
        else:
            seq.begin((), None, seq.run - 1)
        return settled

    def _ends(self, seq: Sequence, judgement: Judgement, settled: tuple[int, ...]) -> bool:
        """Whether this step was the request's last one; ``seq.busy`` tells the listener."""
        cut = len(settled) < len(judgement.tokens) or judgement.residual is not None
        # The context's end is looked for here: how near a draft leads to it depends on how much of it stands.
        return cut or seq.run == 0 or self._remaining(seq) < 0

    def _advance(self, seq: Sequence, num_computed: int) -> None:
        seq.num_computed = num_computed
        self._paging.publish(seq)

    def _notify(self, settled: list[tuple[Sequence, Judgement, tuple[int, ...]]], report: StepReport) -> None:
        for seq, judgement, tokens in settled:
            if seq.closed or not seq.has_news:
                continue
            seq.has_news = False
            try:
                seq.listener.stepped(tokens, judgement, report)
            except Exception as error:
                self._fail(seq, as_draftmesh_error(error))

    def _fail(self, seq: Sequence, error: DraftmeshError) -> None:
        self.close(seq)
        if isinstance(error, InternalError):
            _log.error("sequence failed", sequence_id=seq.sequence_id, reason=error.reason, exc_info=error)
        try:
            seq.listener.failed(error)
        except Exception:
            _log.exception("a listener failed on hearing of a failure", sequence_id=seq.sequence_id)

    def _report(self, batch: list[ScheduledRows], started: float, forward_ms: float, looked_up_rows: int) -> StepReport:
        rows = sum(rows.count for rows in batch)
        elapsed_ms = 1000.0 * (self._clock() - started)
        report = StepReport(rows, len(batch), elapsed_ms, started, forward_ms, looked_up_rows)
        self._meter.add(report)
        return report

    def _remaining(self, seq: Sequence) -> int:
        """Tokens that fit behind the next one."""
        return self.limits.sequence_tokens - len(seq.tokens) - 1

    def _check_rests(self, seq: Sequence) -> None:
        if seq.closed or seq.busy:
            raise StateError("the sequence is closed" if seq.closed else "the sequence is busy with a request")
