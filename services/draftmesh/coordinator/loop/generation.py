"""The loop of one session: draft, verify, commit, tell, until the target has said its last token.

Pure asyncio over the Protocols of ``core``; no grpc, no processes. One turn of the loop hears what the verifier has
said, sends the next round if it is time for one, hands the new text over, and waits until something changes. The next
round goes out first, so that nothing that follows costs the verifier a pause. Drafting runs beside it in a
:class:`DraftFeed`; this loop takes whatever draft is ready and never waits for one longer than :class:`Proposals` says.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count

from draftmesh.coordinator.drafting.assembly import make_feed
from draftmesh.coordinator.drafting.stage import Stage
from draftmesh.coordinator.drafting.text_drafts import Translator
from draftmesh.coordinator.instruments import Instruments
from draftmesh.coordinator.loop.books import Books
from draftmesh.coordinator.loop.company import Companies
from draftmesh.coordinator.loop.config import GenerationConfig
from draftmesh.coordinator.loop.delivery import Delivery, Output
from draftmesh.coordinator.loop.draft_length import DraftLength
from draftmesh.coordinator.loop.failover import Failover
from draftmesh.coordinator.loop.pace import Pace
from draftmesh.coordinator.loop.proposals import Decision, Proposals, Room, VerifierState
from draftmesh.coordinator.loop.psi_passing import pass_on
from draftmesh.coordinator.loop.round_maker import RoundMaker
from draftmesh.coordinator.loop.rounds import Answer, RoundBook
from draftmesh.coordinator.loop.silence import Silence
from draftmesh.coordinator.loop.transcript import Transcript
from draftmesh.coordinator.openings import Job, draft_open, verify_open
from draftmesh.coordinator.pools.seats import Seat, SeatSource
from draftmesh.coordinator.round_trace import RoundTrace
from draftmesh.coordinator.tasks import Inbox, background
from draftmesh.core.draft import DraftOpen
from draftmesh.core.errors import DraftmeshError, UnavailableError
from draftmesh.core.fence import Fence
from draftmesh.core.ledger import Decoded, Ledger
from draftmesh.core.protocols import Drafter, Verifier, VerifyStream, WholeVocabulary
from draftmesh.core.verify import PsiQuery, Verdict
from draftmesh.decoding.draft_length import CostCurve

__all__ = ["Generation", "Instruments", "Job", "Output"]


@dataclass(frozen=True, slots=True)
class _Conversation:
    """One stream to a verifier."""

    seat: Seat[Verifier]
    stream: VerifyStream
    inbox: Inbox[Verdict | PsiQuery]
    rounds: RoundBook
    silence: Silence


class Generation:
    """One session's generation."""

    def __init__(
        self,
        job: Job,
        *,
        table: WholeVocabulary,
        translator: Translator,
        verifiers: SeatSource[Verifier],
        drafters: SeatSource[Drafter] | None,
        output: Output,
        config: GenerationConfig,
        companies: Companies,
        instruments: Instruments,
    ) -> None:
        clock, random = instruments.clock, instruments.random
        self._job = job
        self._config = config
        self._clock = clock
        self._wake = asyncio.Event()
        self._attempts = count(1)
        self._transcript = Transcript(table, job.stop.stop)
        self._delivery = Delivery(output, config.failover, clock=clock, random=random)
        self._books = Books(clock, instruments.metrics)
        self._trace = RoundTrace(instruments.tracer)
        self._failover = Failover(verifiers, config.failover, clock=clock, random=random)
        self._pace = Pace(config.pace, started_s=clock.monotonic())
        self._feed = make_feed(
            job,
            drafters,
            Stage(self._transcript.items, self._wake, self._draft_open, table),
            translator,
            config=config.feed,
            trace=self._trace,
            instruments=instruments,
        )
        length = DraftLength(config.draft_length, job.method, draft_tokens=job.draft_tokens)
        self._proposals = Proposals(self._feed, self._pace, length, companies, config.free_run_steps, clock=clock)
        self._rounds = RoundMaker(self._transcript, self._proposals, max_tokens=job.stop.max_tokens)
        self._final_error: DraftmeshError | None = None

    @property
    def drafter_name(self) -> str:
        """The name of the drafter at work; empty when there is none."""
        return self._proposals.drafter.name if self._proposals.drafter else ""

    @property
    def drafter_digest(self) -> bytes:
        """Of the drafter that has last been at work; empty if none ever was."""
        return self._feed.digest if self._feed is not None else b""

    @property
    def decoded(self) -> Decoded:
        """How fast it was, after the first verdict."""
        return self._books.decoded

    async def run(self) -> None:
        """Generate until the target has said its last token, whatever happens to the services.

        Raises:
            DraftmeshError: no verifier could be had in time, or the verifiers refuse this job; the output failed for
                too long; the drafter that the session is bound to (``slrs``) was lost, and no other one is like it.
        """
        async with background(self._feed.run()) if self._feed is not None else nullcontext():
            while not self._transcript.finished:
                await self._attempt()

    async def _attempt(self) -> None:
        """Work with one verifier until the end, or until it fails."""
        seat = await self._failover.seat()
        try:
            with seat.taken(), self._proposals.working_with(seat):
                async with seat.peer.open(verify_open(self._job, self._fence(), self._transcript.ids)) as stream:
                    inbox = Inbox(stream.receive, self._wake)
                    async with background(inbox.pump()):
                        await self._converse(_Conversation(seat, stream, inbox, RoundBook(), self._silence()))
        except DraftmeshError as error:
            if error is self._final_error:
                raise
            await self._deliver(seat)
            await self._failover.failed(seat, error)
        finally:
            self._book(seat)  # what a turn that was broken off has noted
            self._trace.close()
            if self._feed is not None:
                self._feed.forget_questions()

    async def _converse(self, now: _Conversation) -> None:
        self._books.turn()
        while not self._transcript.finished:
            self._wake.clear()
            self._trace.wake()
            self._hear_all(now)
            if now.seat.should_move and now.rounds.judged is None:
                await self._deliver(now.seat)
                return
            decision = self._decide(now)
            await self._act(now, decision)
            if not self._delivery.is_empty:
                await asyncio.sleep(0)  # the drafter hears of what is settled before the text is persisted
            await self._deliver(now.seat)
            if not self._transcript.finished:
                await self._until_something_changes(now, decision)

    def _hear_all(self, now: _Conversation) -> None:
        for message in now.inbox.take():
            now.silence.heard()
            if isinstance(message, PsiQuery):
                pass_on(message, now.rounds.judged, self._transcript, self._feed)
            else:
                self._proposals.heard(message)
                self._hear(now.rounds, message, now.seat)
        if now.rounds.is_idle or (self._feed is not None and self._feed.awaits_psi):
            now.silence.asked()  # it is not the verifier that is being waited for
        now.silence.check(self._pace.step_ms)
        self._check_bond()

    def _hear(self, rounds: RoundBook, verdict: Verdict, seat: Seat[Verifier]) -> None:
        """Commit what a verdict says, if it says anything new."""
        answer = None if self._transcript.finished else rounds.match(verdict, self._transcript.prefix)
        if answer is None:
            return
        if answer.is_stale and self._feed is not None and self._feed.bond is not None and self._feed.bond.is_bound:
            raise UnavailableError(f"the verifier refuses round {verdict.round}, whose block must be judged")
        self._trace.heard(verdict)
        if answer.is_moot:
            self._books.note(answer.ledger(0, 0.0))
            return
        with self._trace.settling():
            committed_bytes = 0 if answer.is_stale else self._commit(answer, seat, is_idle=rounds.is_idle)
        verify_wait_ms = self._books.turn() if rounds.is_idle else 0.0
        self._books.note(answer.ledger(committed_bytes, verify_wait_ms))

    def _commit(self, answer: Answer, seat: Seat[Verifier], *, is_idle: bool) -> int:
        """Settle a verdict's tokens; their length in bytes."""
        verdict = answer.verdict
        advance = self._transcript.settle(verdict)
        if verdict.tokens:
            self._failover.progressed()
            elapsed_ms = self._books.lap(answer, CostCurve.of(seat.load.costs))
            self._proposals.observe(answer, elapsed_ms, seat, is_idle=is_idle)
            self._proposals.settle(verdict.tokens, self._transcript.items[-len(verdict.tokens) :])
        if verdict.tokens or self._transcript.finished:
            self._delivery.add(advance)
        return len(advance.text)

    def _decide(self, now: _Conversation) -> Decision:
        """What to do now."""
        if self._transcript.finished:
            return Decision()
        if now.rounds.judged is not None:
            return Decision() if now.seat.should_move else self._decide_ahead(now)
        state = VerifierState(
            is_idle=now.rounds.is_idle,
            limit_tokens=min(now.seat.limit_tokens, self._remaining_tokens - 1),  # one token always follows a draft
            is_refused=now.rounds.refuses_at(self._transcript.prefix),
        )
        return self._proposals.decide(state)

    def _decide_ahead(self, now: _Conversation) -> Decision:
        """What to send while a draft is being judged."""
        room = Room(
            rounds=self._config.rounds_ahead + 1 - now.rounds.unanswered,
            draft_tokens=now.seat.limit_tokens,
            tokens=self._remaining_tokens,
        )
        return self._proposals.decide_ahead(now.rounds.drafts, room, is_sure=not now.rounds.runs_freely)

    async def _act(self, now: _Conversation, decision: Decision) -> None:
        self._proposals.act(decision)
        for outgoing in self._rounds.of(decision, now.rounds.next_round):
            request, waited_ms = outgoing.request, self._books.turn() if now.rounds.is_idle else 0.0
            now.rounds.ask(request, outgoing.expected_ids)
            now.silence.asked()
            self._proposals.asked(request)
            with self._trace.asking(request, waited_ms):
                await now.stream.send(request)
            self._books.note(Ledger(draft_wait_ms=waited_ms))
        for reply in self._feed.take_replies() if self._feed is not None else ():
            now.silence.asked()
            await now.stream.send(reply)

    async def _until_something_changes(self, now: _Conversation, decision: Decision) -> None:
        waits_s = [] if decision.wait_s is None else [decision.wait_s]
        if not now.rounds.is_idle:
            waits_s.append(now.silence.remaining_s(self._pace.step_ms))
        if self._gives_up_s is not None:
            waits_s.append(self._gives_up_s - self._clock.monotonic())
        try:
            async with asyncio.timeout(min(waits_s, default=None)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _deliver(self, seat: Seat[Verifier]) -> None:
        """Book what has happened, and hand over the text that it has brought."""
        self._book(seat)
        if self._delivery.is_empty:
            return
        with self._trace.committing():
            try:
                await self._delivery.deliver(self._books.ledger)
            except DraftmeshError as error:
                self._final_error = error  # no other verifier would set it right
                raise

    def _book(self, seat: Seat[Verifier]) -> None:
        self._books.book(self._proposals.take_losses, seat, self._proposals.drafter)

    @property
    def _remaining_tokens(self) -> int:
        return self._rounds.remaining_tokens

    @property
    def _gives_up_s(self) -> float | None:
        """When the session fails unless its drafter brings what it owes; the last token needs no draft."""
        return self._feed.gives_up_s if self._feed is not None and self._remaining_tokens > 1 else None

    def _check_bond(self) -> None:
        if self._gives_up_s is None or self._clock.monotonic() < self._gives_up_s:
            return
        self._final_error = UnavailableError(
            "the session's drafter was lost in the middle of a block (method slrs), and no drafter of the same model "
            f"has taken over within {self._config.feed.bond_patience_ms / 1e3:g} s"
        )
        raise self._final_error

    def _silence(self) -> Silence:
        tokens = len(self._job.prompt_ids) + len(self._transcript.ids)
        return Silence(self._config.failover.silence, self._clock, prompt_tokens=tokens)

    def _fence(self) -> Fence:
        return Fence(self._job.session_epoch, next(self._attempts))

    def _draft_open(self, limit_tokens: int) -> DraftOpen:
        return draft_open(self._job, self._config.proposals, self._fence(), self._transcript.items, limit_tokens)
