"""Where session records are kept; in memory here, in Redis elsewhere."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from draftmesh.coordinator.loop.transcript import Advance
from draftmesh.coordinator.sessions.record import SessionRecord
from draftmesh.core.errors import UnknownSessionError
from draftmesh.core.protocols import Clock


class SessionStore(Protocol):
    """Keeps records. Nothing is shown to a client before :meth:`save` has returned."""

    async def save(self, record: SessionRecord, advance: Advance | None) -> None:
        """Keep ``record``; ``advance`` is the text that it has more than the one before, None if there is none."""

    async def load(self, session_id: str) -> SessionRecord:
        """The newest record; raises UnknownSessionError."""


@dataclass(frozen=True, slots=True)
class MemoryStoreConfig:
    """How long ended sessions are remembered."""

    max_ended_sessions: int = 10_000
    """The longest ended are forgotten first."""

    max_ended_tokens: int = 2_000_000
    """Tokens of all their prompts and texts, each listed log probability counted as one more: about 100 bytes each."""

    keep_s: float = 3600.0
    """Time after which an ended session is forgotten."""


class MemoryStore:
    """Records in this process: sessions that run, and the newest of those that have ended."""

    def __init__(self, config: MemoryStoreConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._running: dict[str, SessionRecord] = {}
        self._ended: OrderedDict[str, tuple[float, SessionRecord]] = OrderedDict()
        self._ended_tokens = 0

    async def save(self, record: SessionRecord, advance: Advance | None) -> None:
        """Keep ``record``."""
        del advance
        if not record.has_ended:
            self._running[record.session_id] = record
            return
        self._running.pop(record.session_id, None)
        self._forget(record.session_id)
        self._ended[record.session_id] = (self._clock.monotonic(), record)
        self._ended_tokens += _num_tokens(record)
        self._forget_old()

    async def load(self, session_id: str) -> SessionRecord:
        """The newest record."""
        self._forget_old()
        if session_id in self._running:
            return self._running[session_id]
        if session_id in self._ended:
            return self._ended[session_id][1]
        raise UnknownSessionError(f"session {session_id} is unknown here, or has been forgotten")

    def _forget_old(self) -> None:
        oldest_s = self._clock.monotonic() - self._config.keep_s
        while self._ended:
            session_id, (ended_s, _) = next(iter(self._ended.items()))
            if self._has_room() and ended_s >= oldest_s:
                return
            self._forget(session_id)

    def _has_room(self) -> bool:
        if len(self._ended) > self._config.max_ended_sessions:
            return False
        return self._ended_tokens <= self._config.max_ended_tokens or len(self._ended) == 1

    def _forget(self, session_id: str) -> None:
        if session_id in self._ended:
            _, record = self._ended.pop(session_id)
            self._ended_tokens -= _num_tokens(record)


def _num_tokens(record: SessionRecord) -> int:
    listed = sum(len(token.logprobs.top) for token in record.tokens if token.logprobs is not None)
    return len(record.prompt_ids) + len(record.tokens) + listed
