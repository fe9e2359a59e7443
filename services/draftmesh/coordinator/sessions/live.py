"""A session that runs in this shard: its task, its record as it grows, and those who watch it."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from draftmesh.coordinator.loop.transcript import Advance
from draftmesh.coordinator.sessions.record import SessionRecord
from draftmesh.coordinator.sessions.store import SessionStore
from draftmesh.coordinator.tasks import Signal, cancelled
from draftmesh.core.errors import DraftmeshError, InternalError
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Clock
from draftmesh.telemetry.metrics import CoordinatorMetrics

_log = structlog.get_logger(__name__)


class Work(Protocol):
    """What a session's task does; ``loop.generation.Generation`` is one."""

    @property
    def drafter_name(self) -> str:
        """The drafter at work; empty when there is none."""

    async def run(self) -> None:
        """Generate until the end."""


class LiveSession:
    """Runs one session and keeps its record; it is the ``Output`` of its own generation."""

    def __init__(self, record: SessionRecord, store: SessionStore, clock: Clock, metrics: CoordinatorMetrics) -> None:
        self.record = record
        self.changed = Signal()
        """Notified when the record has grown or the session has ended."""

        self.error: DraftmeshError | None = None
        """What it failed with."""

        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._started_s = clock.monotonic()
        self._first_token_s: float | None = None
        self._work: Work | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, work: Work) -> None:
        """Persist the record and begin."""
        self._work = work
        await self._store.save(self.record, None)
        self._task = asyncio.create_task(self._run(work))

    async def cancel(self) -> bool:
        """End it now; False if it had ended before. Returns when everything that it held is free."""
        if self._task is None or self._task.done():
            return False
        await cancelled(self._task)
        if not self.record.has_ended:  # it had not even begun
            await self._end(self.record.cancelled())
        return True

    async def ended(self) -> None:
        """Wait until it has ended, however it did."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def advance(self, advance: Advance, ledger: Ledger) -> None:
        """Part of ``Output``: persist, then let everybody see."""
        assert self._work is not None, "the work that calls this has been started"
        if advance.tokens and self._first_token_s is None:
            self._first_token_s = self._clock.monotonic()
            self._metrics.time_to_first_token.record(self._first_token_s - self._started_s)
        record = self.record.advanced(advance, ledger, self._work.drafter_name)
        await self._store.save(record, advance)
        self._show(record)

    async def _run(self, work: Work) -> None:
        self._metrics.sessions_active.add(1)
        try:
            await work.run()
        except asyncio.CancelledError:
            await self._end(self.record if self.record.has_ended else self.record.cancelled())
            raise
        except DraftmeshError as error:
            await self._fail(error)
        except Exception:
            _log.exception("session failed by a bug", session_id=self.record.session_id)
            await self._fail(InternalError("the session failed"))
        finally:
            self._metrics.sessions_active.add(-1)
            self._report()

    async def _fail(self, error: DraftmeshError) -> None:
        self.error = error
        await self._end(self.record.failed(f"{error.reason}: {error}"))

    async def _end(self, record: SessionRecord) -> None:
        try:
            await self._store.save(record, None)
        except DraftmeshError:  # those who follow must hear of the end all the same
            _log.exception("the end of a session was not persisted", session_id=record.session_id)
        self._show(record)

    def _show(self, record: SessionRecord) -> None:
        self.record = record
        self.changed.notify()

    def _report(self) -> None:
        """The canonical line of a session, and its durations."""
        record, ledger = self.record, self.record.ledger
        duration_s = self._clock.monotonic() - self._started_s
        self._metrics.request_duration.record(duration_s)
        if self._first_token_s is not None and len(record.tokens) > 1:
            per_token_s = (self._clock.monotonic() - self._first_token_s) / (len(record.tokens) - 1)
            self._metrics.time_per_output_token.record(per_token_s)
        _log.info(
            "session",
            session_id=record.session_id,
            model=record.model,
            method=record.method.label,
            finish_reason=record.finish_reason.name.lower() if record.finish_reason else None,
            failure=record.failure or None,
            prompt_tokens=len(record.prompt_ids),
            completion_tokens=len(record.tokens),
            duration_ms=round(1e3 * duration_s, 1),
            rounds=ledger.rounds,
            drafted_tokens=ledger.drafted_tokens,
            accepted_tokens=ledger.accepted_tokens,
            free_run_tokens=ledger.free_run_tokens,
            target_steps=ledger.target_steps,
            stale_rounds=ledger.stale_rounds,
            draft_wait_ms=round(ledger.draft_wait_ms, 1),
            verify_wait_ms=round(ledger.verify_wait_ms, 1),
            drafter_failures=ledger.drafter_failures,
        )
