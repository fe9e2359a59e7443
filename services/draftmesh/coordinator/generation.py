"""The loop of one session: draft, verify, commit, tell, until the target has said its last token.

Pure asyncio over the Protocols of ``core``; no grpc, no processes. One turn of the loop hears what the verifier has
said, sends the next round if it is time for one, hands the new text over, and waits until something changes. The next
round goes out first, so that nothing that follows costs the verifier a pause. Drafting runs beside it in a
:class:`DraftFeed`; this loop takes whatever draft is ready and never waits for one longer than :class:`Pace` allows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Protocol

from opentelemetry.trace import Tracer

from draftmesh.coordinator.books import Books
from draftmesh.coordinator.draft_feed import DraftFeed, FeedConfig
from draftmesh.coordinator.failover import Failover, FailoverConfig
from draftmesh.coordinator.ledger import add
from draftmesh.coordinator.pace import Pace, PaceConfig
from draftmesh.coordinator.proposals import Proposals, Translator
from draftmesh.coordinator.round_trace import RoundTrace
from draftmesh.coordinator.rounds import Answer, RoundBook
from draftmesh.coordinator.seats import Seat, SeatSource
from draftmesh.coordinator.tasks import Inbox, background
from draftmesh.coordinator.transcript import Advance, Transcript
from draftmesh.core.draft import DraftOpen
from draftmesh.core.errors import DraftmeshError
from draftmesh.core.fence import Fence
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Clock, Drafter, TokenTable, Verifier, VerifyStream
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import Item, join_items
from draftmesh.core.verify import PsiQuery, Verdict, VerifyOpen, VerifyRound
from draftmesh.telemetry.metrics import CoordinatorMetrics


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Numbers of the loop."""

    free_run_tokens: int = 16
    """Tokens that the target decodes alone before a session with a drafter looks again."""

    pace: PaceConfig = field(default_factory=PaceConfig)
    feed: FeedConfig = field(default_factory=FeedConfig)
    failover: FailoverConfig = field(default_factory=FailoverConfig)


@dataclass(frozen=True, slots=True)
class Job:
    """What one session is to generate; everything in it has been validated."""

    session_id: str
    session_epoch: int
    prompt_ids: tuple[int, ...]
    context: tuple[Item, ...]
    """The prompt for the drafter."""

    sampling: SamplingParams
    stop: StopConditions
    noise_key: NoiseKey
    method: Method
    """Never AUTO."""

    draft_tokens: int
    """Draft tokens of a round at most; 0: no drafting."""

    target_digest: bytes


@dataclass(frozen=True, slots=True)
class Instruments:
    """What the loop measures time and itself with."""

    clock: Clock
    random: Random
    """For backoff."""

    tracer: Tracer
    metrics: CoordinatorMetrics


class Output(Protocol):
    """Where a session's text goes."""

    async def advance(self, advance: Advance, ledger: Ledger) -> None:
        """Persist and publish what the target has settled, in order; ``ledger`` is the session's so far."""


class Generation:
    """One session's generation."""

    def __init__(
        self,
        job: Job,
        *,
        table: TokenTable,
        translator: Translator,
        verifiers: SeatSource[Verifier],
        drafters: SeatSource[Drafter] | None,
        output: Output,
        config: GenerationConfig,
        instruments: Instruments,
    ) -> None:
        clock, random = instruments.clock, instruments.random
        self._job = job
        self._config = config
        self._output = output
        self._wake = asyncio.Event()
        self._attempts = count(1)
        self._transcript = Transcript(table, job.stop.stop)
        self._undelivered: deque[Advance] = deque()
        self._books = Books(clock, instruments.metrics)
        self._trace = RoundTrace(instruments.tracer)
        self._failover = Failover(verifiers, config.failover, clock=clock, random=random)
        self._feed = self._make_feed(drafters, instruments) if drafters is not None and job.draft_tokens else None
        self._pace = Pace(config.pace, draft_tokens=job.draft_tokens)
        self._proposals = Proposals(
            self._feed, translator, self._pace, draft_tokens=job.draft_tokens, clock=clock, trace=self._trace
        )

    @property
    def drafter(self) -> Seat[Drafter] | None:
        """The drafter at work."""
        return self._proposals.drafter

    @property
    def drafter_name(self) -> str:
        """The drafter's name; empty when there is none."""
        return self.drafter.name if self.drafter is not None else ""

    async def run(self) -> None:
        """Generate until the target has said its last token, whatever happens to the services.

        Raises:
            DraftmeshError: no verifier could be had in time, or the verifiers refuse this job.
        """
        async with background(self._feed.run()) if self._feed is not None else nullcontext():
            while not self._transcript.finished:
                await self._attempt()

    async def _attempt(self) -> None:
        """Work with one verifier until the end, or until it fails."""
        seat = await self._failover.seat()
        try:
            with seat.taken():
                async with seat.peer.open(self._verify_open()) as stream:
                    inbox = Inbox(stream.receive, self._wake)
                    async with background(inbox.pump()):
                        await self._converse(seat, stream, inbox)
        except DraftmeshError as error:
            await self._deliver()
            await self._failover.failed(seat, error)
        finally:
            self._trace.close()

    async def _converse(self, seat: Seat[Verifier], stream: VerifyStream, inbox: Inbox[Verdict | PsiQuery]) -> None:
        rounds = RoundBook()
        self._books.turn()
        while not self._transcript.finished:
            self._wake.clear()
            for message in inbox.take():
                if isinstance(message, Verdict):
                    self._hear(rounds, message, seat)
            if seat.should_move and not rounds.is_judging:
                await self._deliver()
                return
            request = self._next_round(rounds, seat)
            if request is not None:
                waited_ms = self._books.turn() if rounds.is_idle else 0.0
                rounds.ask(request)
                with self._trace.asking(request, waited_ms):
                    await stream.send(request)
                self._record(Ledger(draft_wait_ms=waited_ms), seat)
            await self._deliver()
            if not self._transcript.finished:
                await self._until_something_changes(rounds)

    def _hear(self, rounds: RoundBook, verdict: Verdict, seat: Seat[Verifier]) -> None:
        """Commit what a verdict says, if it says anything new."""
        answer = None if self._transcript.finished else rounds.match(verdict, self._transcript.prefix)
        if answer is None:
            return
        self._trace.heard(verdict)
        committed_bytes = 0 if answer.is_stale else self._commit(answer)
        verify_wait_ms = self._books.turn() if rounds.is_idle else 0.0
        self._record(answer.ledger(committed_bytes, verify_wait_ms), seat)

    def _commit(self, answer: Answer) -> int:
        """Settle a verdict's tokens; their length in bytes."""
        verdict = answer.verdict
        advance = self._transcript.settle(verdict)
        if verdict.tokens:
            self._failover.progressed()
            self._proposals.settle(verdict.tokens, self._transcript.items[-len(verdict.tokens) :])
            if not answer.has_prefill:
                self._pace.observe(verdict, judged=answer.judged_tokens > 0)
        if verdict.tokens or self._transcript.finished:
            self._undelivered.append(advance)
        return len(advance.text)

    def _next_round(self, rounds: RoundBook, seat: Seat[Verifier]) -> VerifyRound | None:
        """The round to send now; None if it is better to wait, or the verifier has one already."""
        if self._transcript.finished or rounds.is_judging:
            return None
        base = self._transcript.prefix
        if not rounds.refuses_at(base):
            draft = self._proposals.take(seat.limit_tokens)
            if draft:
                return VerifyRound(rounds.next_round, base, draft)
            if rounds.is_idle and self._proposals.may_wait():
                return None
        return VerifyRound(rounds.next_round, base, free_run=self._free_run_tokens()) if rounds.is_idle else None

    def _free_run_tokens(self) -> int:
        remaining = self._job.stop.max_tokens - len(self._transcript.ids)
        return remaining if self._feed is None else min(remaining, self._config.free_run_tokens)

    async def _until_something_changes(self, rounds: RoundBook) -> None:
        try:
            async with asyncio.timeout(None if rounds.is_judging else self._proposals.remaining_wait_s()):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _deliver(self) -> None:
        if not self._undelivered:
            return
        with self._trace.committing():
            while self._undelivered:
                await self._output.advance(self._undelivered[0], self._books.ledger)
                self._undelivered.popleft()  # not before: what could not be persisted is still to be delivered

    def _record(self, delta: Ledger, seat: Seat[Verifier]) -> None:
        self._books.record(add(delta, self._proposals.take_losses()), seat, self.drafter)

    def _make_feed(self, drafters: SeatSource[Drafter], instruments: Instruments) -> DraftFeed:
        return DraftFeed(
            drafters,
            opening=self._draft_open,
            items=self._transcript.items,
            wake=self._wake,
            unserved=instruments.metrics.sessions_without_drafter,
            config=self._config.feed,
            random=instruments.random,
        )

    def _fence(self) -> Fence:
        return Fence(self._job.session_epoch, next(self._attempts))

    def _verify_open(self) -> VerifyOpen:
        job, committed_ids = self._job, tuple(self._transcript.ids)
        return VerifyOpen(
            session_id=job.session_id,
            fence=self._fence(),
            prompt_ids=job.prompt_ids,
            committed_ids=committed_ids,
            sampling=job.sampling,
            stop=job.stop,
            noise_key=job.noise_key,
            method=job.method,
            target_digest=job.target_digest,
        )

    def _draft_open(self, max_ahead_tokens: int) -> DraftOpen:
        job = self._job
        return DraftOpen(
            session_id=job.session_id,
            fence=self._fence(),
            context=job.context,
            committed=join_items(self._transcript.items),
            sampling=job.sampling,
            noise_key=job.noise_key,
            method=job.method,
            max_ahead_tokens=max_ahead_tokens,
        )
