"""A session's side of drafting: whichever drafter serves it, its stream, and the draft that it has sent.

Runs beside the generation loop, which only looks at :class:`DraftFeed` and never waits for it: a drafter that is
slow, stuck, lying or dead costs a session its speed-up and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

import structlog
from opentelemetry.metrics import UpDownCounter

from draftmesh.coordinator.backoff import Backoff, BackoffConfig
from draftmesh.coordinator.draft_buffer import DraftBuffer, DraftLimits
from draftmesh.coordinator.seats import Seat, SeatSource
from draftmesh.coordinator.tasks import race
from draftmesh.core.draft import Block, Commit, DraftOpen
from draftmesh.core.errors import DraftmeshError, InvalidRequestError, NotFoundError, UnsupportedError
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Drafter, DraftStream
from draftmesh.core.text import Item, items_length

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FeedConfig:
    """Numbers of a draft feed."""

    max_ahead_tokens: int = 32
    """Draft tokens beyond the last commit that are asked for; a drafter's own limit may be lower."""

    backoff: BackoffConfig = field(default_factory=BackoffConfig)
    """Before another drafter is tried after a failure."""


class DraftFeed:
    """Keeps a drafter at work for one session.

    Args:
        source: Where drafters come from.
        opening: Makes the first message to a drafter from its limit on draft tokens ahead.
        items: The committed text, one item a token; grows while the feed runs.
        wake: Set whenever the draft has changed.
        unserved: Counts the sessions that would draft and have no drafter.
    """

    def __init__(
        self,
        source: SeatSource[Drafter],
        *,
        opening: Callable[[int], DraftOpen],
        items: Sequence[Item],
        wake: asyncio.Event,
        unserved: UpDownCounter,
        config: FeedConfig,
        random: Random,
    ) -> None:
        self._source = source
        self._opening = opening
        self._items = items
        self._wake = wake
        self._unserved = unserved
        self._config = config
        self._backoff = Backoff(config.backoff, random)
        self._buffer = DraftBuffer(DraftLimits(config.max_ahead_tokens))
        self._unsent = asyncio.Event()
        self._seat: Seat[Drafter] | None = None
        self._banned: frozenset[str] = frozenset()
        self._failed: frozenset[str] = frozenset()  # the drafter before this one
        self._failures = 0

    @property
    def drafter(self) -> Seat[Drafter] | None:
        """The drafter at work; None while there is none."""
        return self._seat

    @property
    def draft(self) -> tuple[Item, ...]:
        """Draft text after the committed text."""
        return self._buffer.draft

    @property
    def ended(self) -> bool:
        """Whether the draft will not get longer before something is committed."""
        return self._seat is None or self._buffer.ended

    def settle(self, items: Sequence[Item]) -> None:
        """The target has committed ``items``; the drafter hears of it as soon as this task lets others run."""
        self._buffer.settle(items)
        self._unsent.set()

    def take_losses(self) -> Ledger:
        """Waste and failures since the last call."""
        failures, self._failures = self._failures, 0
        return Ledger(wasted_bytes=self._buffer.take_wasted_bytes(), drafter_failures=failures)

    async def run(self) -> None:
        """Find a drafter, work with it, and when it fails or drains find another; until cancelled."""
        self._unserved.add(1)
        try:
            await self._keep_one_at_work()
        finally:
            self._unserved.add(-1)

    async def _keep_one_at_work(self) -> None:
        while True:
            seat = await self._source.acquire(banned=self._banned, failed=self._failed)
            try:
                await self._work_with(seat)
            except (InvalidRequestError, UnsupportedError, NotFoundError):
                # It breaks the protocol, or cannot serve this session: it will not be asked again.
                self._banned |= {seat.address}
            except DraftmeshError as error:
                _log.debug("drafter lost", address=seat.address, error=str(error))
            self._failed = frozenset({seat.address})
            await asyncio.sleep(self._backoff.next_s())

    async def _work_with(self, seat: Seat[Drafter]) -> None:
        """Returns when the drafter drains.

        Raises:
            DraftmeshError: its stream has ended.
        """
        request = self._opening(min(self._config.max_ahead_tokens, seat.limit_tokens))
        opened_at = len(self._items)  # what ``request`` says is committed
        with seat.taken():
            async with seat.peer.open(request) as stream:
                self._buffer.restart()
                with self._at_work(seat):
                    await race(self._send_commits(stream, opened_at), self._receive_blocks(stream), seat.retired())

    @contextmanager
    def _at_work(self, seat: Seat[Drafter]) -> Iterator[None]:
        self._seat = seat
        self._unserved.add(-1)
        try:
            yield
        except DraftmeshError:
            self._failures += 1
            raise
        finally:
            self._seat = None
            self._unserved.add(1)
            self._wake.set()

    async def _send_commits(self, stream: DraftStream, num_sent: int) -> None:
        commit_seq, offset = 0, items_length(self._items[:num_sent])
        while True:
            settled = tuple(self._items[num_sent:])
            if not settled:
                self._unsent.clear()
                await self._unsent.wait()
                continue
            commit_seq += 1
            self._buffer.note_commit(commit_seq)
            await stream.send(Commit(commit_seq, offset, settled))
            num_sent += len(settled)
            offset += items_length(settled)

    async def _receive_blocks(self, stream: DraftStream) -> None:
        while True:
            message = await stream.receive()
            if not isinstance(message, Block):
                continue
            if self._buffer.offer(message):
                self._backoff.reset()
            self._wake.set()
