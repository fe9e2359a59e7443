"""A session's side of drafting: whichever drafter serves it, its stream, and the draft that it has sent.

Runs beside the generation loop, which only looks at :class:`DraftFeed` and never waits for it longer than it wants to:
a drafter that is slow, stuck, lying or dead costs a session its speed-up and nothing else. ``slrs`` is another matter,
and has a feed of its own (``bound_feed``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import structlog

from draftmesh.coordinator.backoff import Backoff
from draftmesh.coordinator.drafting.answering import AnswerTimes
from draftmesh.coordinator.drafting.bond import Bond
from draftmesh.coordinator.drafting.draft_streams import opened
from draftmesh.coordinator.drafting.drafts import BranchDraft, Drafts, KnownDraft
from draftmesh.coordinator.drafting.pausing import PauseBook
from draftmesh.coordinator.drafting.stage import FeedConfig, Stage
from draftmesh.coordinator.instruments import Instruments
from draftmesh.coordinator.pools.seats import Seat, SeatSource
from draftmesh.coordinator.tasks import Switch, race, unless
from draftmesh.core.draft import Block, Commit, DraftExtent, Evaluated
from draftmesh.core.errors import (
    DraftmeshError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Drafter, DraftStream
from draftmesh.core.text import Item, TextPrefix, items_length
from draftmesh.core.verify import PsiQuery, PsiReply

_log = structlog.get_logger(__name__)


class DraftFeed:
    """Keeps a drafter at work for one session.

    Args:
        source: Where drafters come from.
        stage: What is shared with the session's loop.
        drafts: Where the draft is kept.
        config: Numbers.
        instruments: Clock, random numbers for backoff, and the metric of sessions that have no drafter.
    """

    def __init__(
        self,
        source: SeatSource[Drafter],
        stage: Stage,
        drafts: Drafts,
        config: FeedConfig,
        instruments: Instruments,
    ) -> None:
        self._source = source
        self._stage = stage
        self._items = stage.items
        self._drafts = drafts
        self._unserved = instruments.metrics.sessions_without_drafter
        self._config = config
        self._clock = instruments.clock
        self._backoff = Backoff(config.backoff, instruments.random)
        self._unsent = asyncio.Event()
        self._seat: Seat[Drafter] | None = None
        self._digest = b""
        self._banned: frozenset[str] = frozenset()
        self._failed: frozenset[str] = frozenset()  # the drafter before this one
        self._failures = 0
        self._drafting = Switch(is_on=False)
        self._extent = DraftExtent()
        self.pauses = PauseBook(stage.items)
        """What of the draft may have its length from what it says."""

        self.answers = AnswerTimes(instruments.clock)
        """How far the drafter is, and when it goes on."""

    @property
    def drafter(self) -> Seat[Drafter] | None:
        """The drafter at work; None while there is none."""
        return self._seat

    @property
    def digest(self) -> bytes:
        """Of the drafter that has last been at work; empty before any has."""
        return self._digest

    @property
    def ended(self) -> bool:
        """Whether the draft will not get longer before something is committed."""
        return self._seat is None or self._drafts.ended

    @property
    def bond(self) -> Bond | None:
        """What binds the session to its drafter; None: nothing does."""
        return None

    @property
    def gives_up_s(self) -> float | None:
        """When the session fails unless the drafters it is bound to bring what they owe; None: nothing is owed."""
        return None

    @property
    def awaits_psi(self) -> bool:
        """Whether a drafter owes the answer to a question for ψ."""
        return False

    def read(self) -> KnownDraft:
        """What there is to propose."""
        return self._drafts.read(ended=self.ended)

    def branches(self) -> Sequence[BranchDraft]:
        """What there would be to propose for each branch that the target may take."""
        return self._drafts.branches()

    def settle(self, ids: Sequence[int], items: Sequence[Item]) -> None:
        """The target has committed this; the drafter hears of it as soon as this task lets others run."""
        agrees = self._drafts.settle(ids, items)
        self.pauses.settle(items)
        self.answers.settled(parts=not agrees)
        self._unsent.set()

    def ask(self, query: PsiQuery, base: TextPrefix, accepted: tuple[int, ...]) -> None:  # noqa: ARG002
        """The verifier asks for ψ after the ``accepted`` tokens of the block that follows ``base``.

        Raises:
            UnavailableError: the method has no ψ.
        """
        raise UnavailableError("the verifier asks for ψ, which only drafts of slrs have")

    def take_replies(self) -> Sequence[PsiReply]:
        """Answers for the verifier since the last call."""
        return ()

    def forget_questions(self) -> None:
        """The verifier that asked is gone."""

    def rest(self) -> None:
        """Let the drafter go: it is freed for others, and stops to compute at once."""
        self._drafting.turn(on=False)

    def want(self, extent: DraftExtent) -> None:
        """Have drafts go so far beyond whatever the drafter is told next.

        A session that rested finds a drafter again.
        """
        self._extent = extent
        self._drafting.turn(on=True)

    def take_losses(self) -> Ledger:
        """Waste and failures since the last call."""
        failures, self._failures = self._failures, 0
        return Ledger(wasted_bytes=self._drafts.take_wasted_bytes(), drafter_failures=failures)

    async def run(self) -> None:
        """Once drafts are wanted, find a drafter, work with it, and when it fails or drains find another; for ever."""
        while True:
            await self._drafting.on()
            await self._draft()

    async def _draft(self) -> None:
        """Until the session rests."""
        self._unserved.add(1)
        try:
            while self._drafting.is_on:
                try:
                    await self._serve_once()
                except Exception:
                    _log.exception("drafting failed by a bug")
                if self._drafting.is_on:
                    await asyncio.sleep(self._backoff.next_s())
        finally:
            self._unserved.add(-1)

    async def _serve_once(self) -> None:
        seat = await unless(self._drafting.off(), self._acquire())
        if seat is None:
            return
        try:
            await self._admission()
            await self._work_with(seat)
        except (InvalidRequestError, UnsupportedError, NotFoundError) as error:
            # It breaks the protocol, or cannot serve this session: it will not be asked again.
            _log.debug("drafter refused", address=seat.address, error=str(error))
            self._banned |= {seat.address}
        except DraftmeshError as error:
            _log.debug("drafter lost", address=seat.address, error=str(error))
        finally:
            self._failed = frozenset({seat.address}) if self._drafting.is_on else frozenset()
            self._release()

    async def _acquire(self) -> Seat[Drafter]:
        """The next drafter."""
        return await self._source.acquire(banned=self._banned, failed=self._failed)

    async def _admission(self) -> None:
        """Returns when a drafter may be told of the base."""

    def _release(self) -> None:
        """The drafter is left, or has refused."""

    async def _work_with(self, seat: Seat[Drafter]) -> None:
        """Returns when the drafter is to be left.

        Raises:
            DraftmeshError: it refuses, is no longer the one that the pool knows, or its stream has ended.
        """
        opened_at = len(self._items)  # what it is told to be committed
        whole = self._stage.opening(min(self._config.max_ahead_tokens, seat.limit_tokens))
        request = replace(whole, first_extent=self._extent)
        with seat.taken():
            async with opened(seat.peer, request, self._stage.vocabulary, self._open_timeout_s) as stream:
                if stream.drafter_digest != seat.digest:
                    raise UnavailableError(f"another drafter answers at {seat.address} than the pool knows")
                if self._is_too_late(opened_at):
                    return
                self.pauses.restart(request.first_extent, drafter_pauses=stream.pauses_when_unsure)
                self.answers.restart(seat.delay_ms)
                self._drafts.restart(request.max_ahead_tokens, is_behind=len(self._items) > opened_at)
                with self._at_work(seat):
                    await race(self._send(stream, seat, opened_at), self._receive(stream), self._until_left(seat))

    @property
    def _open_timeout_s(self) -> float | None:
        """How long a drafter may take to open a stream; None: as long as it wants."""
        return None

    def _is_too_late(self, opened_at: int) -> bool:  # noqa: ARG002
        """Whether a drafter that was told of the first ``opened_at`` tokens is of no use any more."""
        return False

    @contextmanager
    def _at_work(self, seat: Seat[Drafter]) -> Iterator[None]:
        self._seat, self._digest = seat, seat.digest
        self._begin()
        self._tell(seat)
        self._unserved.add(-1)
        try:
            yield
        except Exception:
            self._failures += 1
            raise
        finally:
            self._seat = None
            self._unserved.add(1)
            self._stage.wake.set()

    def _begin(self) -> None:
        """Another drafter begins to work."""

    def _tell(self, seat: Seat[Drafter]) -> None:
        """The drafter is told of the base by the message that goes out now."""

    async def _send(self, stream: DraftStream, seat: Seat[Drafter], num_sent: int) -> None:
        """Send commits, and what else there is to say after each."""
        commit_seq, offset = 0, items_length(self._items[:num_sent])
        while not self._is_leaving:
            self._unsent.clear()
            if settled := tuple(self._items[num_sent:]):
                commit_seq += 1
                self._tell(seat)
                self._drafts.note_commit(commit_seq)
                self.pauses.ask(commit_seq, self._extent)
                self.answers.told(commit_seq)
                await stream.send(Commit(commit_seq, offset, settled, self._extent))
                num_sent += len(settled)
                offset += items_length(settled)
                continue
            await self._send_questions(stream)
            await self._unsent.wait()

    @property
    def _is_leaving(self) -> bool:
        """Whether the drafter is to be told nothing more."""
        return False

    async def _send_questions(self, stream: DraftStream) -> None:
        """Send what is to be asked of the base that the drafter knows."""

    async def _receive(self, stream: DraftStream) -> None:
        while True:
            if self._take(await stream.receive()):
                self._backoff.reset()
            self._stage.wake.set()

    def _take(self, message: Block | Evaluated) -> bool:
        """Take in what the drafter says; whether it was of use."""
        if not isinstance(message, Block):
            return False
        self.answers.heard(message.commit_seq)
        if not self._drafts.offer(message):
            return False
        self.answers.used()
        self.pauses.take(message)
        return True

    async def _until_left(self, seat: Seat[Drafter]) -> None:
        await race(seat.retired(), self._drafting.off())
