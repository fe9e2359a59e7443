"""Who may speak for a session: of several streams that claim it, the one with the highest fence."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from draftmesh.core.errors import AlreadyOpenError, FencedError
from draftmesh.core.fence import Fence

DEFAULT_CAPACITY = 65_536


@dataclass(slots=True)
class Claim:
    """A stream's hold on its session."""

    session_id: str
    fence: Fence
    superseded: bool = False
    """A newer stream has taken the session."""

    def check(self, fence: Fence) -> None:
        """Raise FencedError unless the claim still holds and ``fence``, of a message on the stream, is its own."""
        if self.superseded or fence != self.fence:
            raise FencedError(f"session {self.session_id}: {_name(self.fence)} no longer speaks for it")


@dataclass(frozen=True, slots=True)
class _Holder:
    claim: Claim
    on_superseded: Callable[[], None]


class FenceRegistry:
    """The newest fence of every session, and the stream that holds it. For one event loop; not for threads.

    Fences of sessions without a stream are remembered for as long as memory for ``capacity`` of them lasts, the
    longest unused forgotten first.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        """Remember ``capacity`` fences of closed streams at most."""
        self._capacity = capacity
        self._open: dict[str, _Holder] = {}
        self._past: OrderedDict[str, Fence] = OrderedDict()

    @property
    def remembered(self) -> int:
        """Fences of closed streams in memory."""
        return len(self._past)

    @contextmanager
    def claim(self, session_id: str, fence: Fence, on_superseded: Callable[[], None]) -> Iterator[Claim]:
        """Hold a session for as long as the context lasts.

        ``on_superseded`` is called, at most once, when a newer stream claims the session: it must make this stream's
        handler raise FencedError. (It must not cancel the handler's task: gRPC sends no status for a cancelled one.)

        Raises:
            FencedError: a higher fence was seen.
            AlreadyOpenError: the stream of this very fence is open.
        """
        holder = self._take(session_id, fence, on_superseded)
        try:
            yield holder.claim
        finally:
            self._release(holder)

    def _take(self, session_id: str, fence: Fence, on_superseded: Callable[[], None]) -> _Holder:
        older = self._open.get(session_id)
        newest = older.claim.fence if older else self._past.get(session_id)
        if newest is not None and fence < newest:
            raise FencedError(f"session {session_id}: {_name(fence)} is below {_name(newest)}")
        if older is not None and fence == older.claim.fence:
            raise AlreadyOpenError(f"session {session_id}: the stream of {_name(fence)} is open")
        holder = _Holder(Claim(session_id, fence), on_superseded)
        self._open[session_id] = holder
        self._past.pop(session_id, None)
        if older is not None:
            older.claim.superseded = True
            older.on_superseded()
        return holder

    def _release(self, holder: _Holder) -> None:
        session_id = holder.claim.session_id
        if self._open.get(session_id) is holder:
            del self._open[session_id]
            self._past[session_id] = holder.claim.fence
            while len(self._past) > self._capacity:
                self._past.popitem(last=False)


def _name(fence: Fence) -> str:
    return f"epoch {fence.session_epoch} attempt {fence.attempt}"
