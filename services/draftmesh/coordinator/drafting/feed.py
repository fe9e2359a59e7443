"""A session's side of drafting: whichever drafter serves it, its stream, and the draft that it has sent.

Runs beside the generation loop, which only looks at :class:`DraftFeed` and never waits for it longer than the method
demands: a drafter that is slow, stuck, lying or dead costs a session its speed-up and nothing else. Only ``slrs`` binds
a session to its drafter (``bond``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from random import Random

import structlog
from opentelemetry.metrics import UpDownCounter

from draftmesh.coordinator.backoff import Backoff, BackoffConfig
from draftmesh.coordinator.drafting.bond import Bond
from draftmesh.coordinator.drafting.drafts import Drafts, KnownDraft
from draftmesh.coordinator.drafting.psi_questions import PsiQuestions
from draftmesh.coordinator.pools.seats import Seat, SeatSource
from draftmesh.coordinator.tasks import race, unless
from draftmesh.core.draft import Block, Commit, DraftOpen
from draftmesh.core.errors import (
    DeadlineError,
    DraftmeshError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Clock, Drafter, DraftStream, WholeVocabulary
from draftmesh.core.text import Item, TextPrefix, items_length
from draftmesh.core.verify import PsiQuery

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FeedConfig:
    """Numbers of a draft feed."""

    max_ahead_tokens: int = 32
    """Draft tokens beyond the last commit that are asked for; a drafter's own limit may be lower."""

    backoff: BackoffConfig = field(default_factory=BackoffConfig)
    """Before another drafter is tried after a failure."""

    bond_patience_ms: float = 20_000.0
    """``slrs``: how long a session waits for what drafters owe it before it fails; one that owes for half as long is
    replaced."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a feed shares with the loop of its session."""

    items: Sequence[Item]
    """The committed text, one item a token; grows while the feed runs."""

    wake: asyncio.Event
    """Set whenever the draft has changed."""

    opening: Callable[[int], DraftOpen]
    """Makes the first message to a drafter from its limit on draft tokens ahead."""

    vocabulary: WholeVocabulary
    """The target's; made known to drafters that are opened with its digest and do not know it."""


class DraftFeed:
    """Keeps a drafter at work for one session.

    Args:
        source: Where drafters come from.
        stage: What is shared with the session's loop.
        drafts: Where the draft is kept.
        bond: What binds the session to its drafter, if anything does.
        unserved: Counts the sessions that would draft and have no drafter.
    """

    def __init__(
        self,
        source: SeatSource[Drafter],
        stage: Stage,
        drafts: Drafts,
        *,
        bond: Bond | None,
        unserved: UpDownCounter,
        config: FeedConfig,
        clock: Clock,
        random: Random,
    ) -> None:
        self.bond = bond
        self.questions = PsiQuestions()
        """Questions that the drafter at work is to answer."""

        self._source = source
        self._stage = stage
        self._items = stage.items
        self._drafts = drafts
        self._unserved = unserved
        self._config = config
        self._clock = clock
        self._backoff = Backoff(config.backoff, random)
        self._unsent = asyncio.Event()
        self._leaving = asyncio.Event()
        self._seat: Seat[Drafter] | None = None
        self._digest = b""
        self._banned: frozenset[str] = frozenset()
        self._failed: frozenset[str] = frozenset()  # the drafter before this one
        self._failures = 0

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
    def gives_up_s(self) -> float | None:
        """When the session fails unless the drafters it is bound to bring what they owe; None: nothing is owed."""
        return self.bond.since_s + self._config.bond_patience_ms / 1e3 if self.bond and self._owes else None

    def read(self) -> KnownDraft:
        """What there is to propose."""
        return self._drafts.read(ended=self.ended)

    def settle(self, ids: Sequence[int], items: Sequence[Item]) -> None:
        """The target has committed this; the drafter hears of it as soon as this task lets others run."""
        self._drafts.settle(ids, items)
        if self.bond is not None:
            self.questions.clear()
            # Between two blocks is the only time to leave a drafter that drains: nobody is told of the new base.
            if self._seat is not None and self._seat.is_draining:
                self._leaving.set()
            self.bond.settled(at_work=self._seat is not None and not self._leaving.is_set())
        self._unsent.set()

    def ask(self, query: PsiQuery, base: TextPrefix, accepted: tuple[int, ...]) -> None:
        """The verifier asks for ψ after the ``accepted`` tokens of the block that follows ``base``."""
        if self.bond is not None and not self._owes:
            self.bond.touch()
        self.questions.ask(query, base, accepted)
        self._unsent.set()

    def take_losses(self) -> Ledger:
        """Waste and failures since the last call."""
        failures, self._failures = self._failures, 0
        return Ledger(wasted_bytes=self._drafts.take_wasted_bytes(), drafter_failures=failures)

    async def run(self) -> None:
        """Find a drafter, work with it, and when it fails or drains find another; until cancelled."""
        self._unserved.add(1)
        try:
            while True:
                try:
                    await self._serve_once()
                except Exception:
                    _log.exception("drafting failed by a bug")
                await asyncio.sleep(self._backoff.next_s())
        finally:
            self._unserved.add(-1)

    @property
    def _owes(self) -> bool:
        return self.bond is not None and self.bond.holds and (not self._drafts.ended or self.questions.is_waiting)

    async def _serve_once(self) -> None:
        seat = await self._acquire()
        try:
            if self.bond is not None:
                await self.bond.admission()
            await self._work_with(seat)
        except (InvalidRequestError, UnsupportedError, NotFoundError) as error:
            # It breaks the protocol, or cannot serve this session: it will not be asked again.
            _log.debug("drafter refused", address=seat.address, error=str(error))
            self._banned |= {seat.address}
        except DraftmeshError as error:
            _log.debug("drafter lost", address=seat.address, error=str(error))
        finally:
            self._failed = frozenset({seat.address})
            if self.bond is not None:
                self.bond.release()

    async def _acquire(self) -> Seat[Drafter]:
        """The next drafter: any, or while the base is bound, one that draws the same."""
        if self.bond is None:
            return await self._source.acquire(banned=self._banned, failed=self._failed)
        while True:
            wanted = self._source.acquire(banned=self._banned, failed=self._failed, digest=self.bond.digest)
            if (seat := await unless(self.bond.changed.wait(), wanted)) is not None:
                return seat

    async def _work_with(self, seat: Seat[Drafter]) -> None:
        """Returns when the drafter is to be left.

        Raises:
            DraftmeshError: it refuses, is no longer the one that the pool knows, or its stream has ended.
        """
        opened_at = len(self._items)  # what it is told to be committed
        request = self._stage.opening(min(self._config.max_ahead_tokens, seat.limit_tokens))
        with seat.taken():
            async with self._opened(seat.peer, request) as stream:
                if stream.drafter_digest != seat.digest:
                    raise UnavailableError(f"another drafter answers at {seat.address} than the pool knows")
                if self.bond is not None and not (self.bond.holds and len(self._items) == opened_at):
                    return  # the base has been settled meanwhile
                self._drafts.restart(request.max_ahead_tokens, is_behind=len(self._items) > opened_at)
                self.questions.restart()
                with self._at_work(seat):
                    await race(self._send(stream, seat, opened_at), self._receive(stream), self._until_left(seat))

    @asynccontextmanager
    async def _opened(self, peer: Drafter, request: DraftOpen) -> AsyncIterator[DraftStream]:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._stall_s if self.bond is not None else None):
                    stream = await self._enter(stack, peer, request)
            except TimeoutError:
                raise DeadlineError(f"the drafter did not open a stream within {self._stall_s:g} s") from None
            yield stream

    async def _enter(self, stack: AsyncExitStack, peer: Drafter, request: DraftOpen) -> DraftStream:
        try:
            return await stack.enter_async_context(peer.open(request))
        except NotFoundError:
            if not request.target_vocabulary_digest:
                raise
        await peer.register_vocabulary(request.target_vocabulary_digest, self._stage.vocabulary)
        return await stack.enter_async_context(peer.open(request))

    @contextmanager
    def _at_work(self, seat: Seat[Drafter]) -> Iterator[None]:
        self._seat, self._digest = seat, seat.digest
        self._leaving.clear()
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

    def _tell(self, seat: Seat[Drafter]) -> None:
        """The drafter is told of the base by the message that goes out now."""
        if self.bond is not None:
            self.bond.bind(seat.digest)
            self._stage.wake.set()

    async def _send(self, stream: DraftStream, seat: Seat[Drafter], num_sent: int) -> None:
        """Send commits, and questions about blocks after the commits that they are about."""
        commit_seq, offset = 0, items_length(self._items[:num_sent])
        while not self._leaving.is_set():
            self._unsent.clear()
            if settled := tuple(self._items[num_sent:]):
                commit_seq += 1
                self._tell(seat)
                self._drafts.note_commit(commit_seq)
                await stream.send(Commit(commit_seq, offset, settled))
                num_sent += len(settled)
                offset += items_length(settled)
                continue
            for evaluate in self.questions.take_unsent():
                await stream.send(evaluate)
            await self._unsent.wait()

    async def _receive(self, stream: DraftStream) -> None:
        while True:
            message = await stream.receive()
            is_of_use = self._drafts.offer(message) if isinstance(message, Block) else self.questions.hear(message)
            if is_of_use:
                self._backoff.reset()
                if self.bond is not None:
                    self.bond.touch()
            self._stage.wake.set()

    async def _until_left(self, seat: Seat[Drafter]) -> None:
        if self.bond is None:
            await seat.retired()
        else:
            await race(self._leaving.wait(), self._watch_debts(self.bond))

    async def _watch_debts(self, bond: Bond) -> None:
        opened_s = self._clock.monotonic()
        while True:
            await asyncio.sleep(self._stall_s / 4)
            waited_s = self._clock.monotonic() - max(opened_s, bond.since_s)
            if self._owes and waited_s >= self._stall_s:
                raise DeadlineError(f"the drafter owes a block or ψ for {waited_s:.1f} s")

    @property
    def _stall_s(self) -> float:
        return self._config.bond_patience_ms / 2e3
