"""What binds an ``slrs`` session to a drafter: a base that one has been told of ends with a round on its block.

If a session could let the target go on alone because a block was late, or let another drafter propose in its place,
then what a block says (and how long that takes to draw) would choose who judges a position, and the text would no
longer have the target's law. So while a drafter is told of a base the verifier has no free run, and then nothing but
that base's block settles it. If the drafter is lost, one of the same digest may take over: it draws the same block.

The verifier's free runs end by themselves. So a feed that has found a drafter *asks*, and the session's loop *admits*
it when the verifier has nothing to do; a drafter that refuses has drawn nothing, and the base is free again.
"""

from __future__ import annotations

import asyncio
import enum

from draftmesh.coordinator.tasks import Signal
from draftmesh.core.protocols import Clock


class _State(enum.Enum):
    FREE = enum.auto()
    ASKING = enum.auto()
    ADMITTED = enum.auto()
    BOUND = enum.auto()


class Bond:
    """The bond of one session; ``wake`` rouses its loop."""

    def __init__(self, wake: asyncio.Event, clock: Clock) -> None:
        self.changed = Signal()
        """Notified when the drafters that may be asked have changed."""

        self._wake = wake
        self._clock = clock
        self._state = _State.FREE
        self._admitted = asyncio.Event()
        self._digest: bytes | None = None
        self._since_s = 0.0

    @property
    def holds(self) -> bool:
        """Whether a drafter has been told of the base, or may be told any moment: no free run may begin."""
        return self._state in {_State.ADMITTED, _State.BOUND}

    @property
    def is_bound(self) -> bool:
        """Whether the base can end with its block alone."""
        return self._state is _State.BOUND

    @property
    def is_asking(self) -> bool:
        """Whether a drafter has been found and waits for the verifier to have nothing to do."""
        return self._state is _State.ASKING

    @property
    def digest(self) -> bytes | None:
        """Of the drafters that may draw this base's block; None: of any."""
        return self._digest

    @property
    def since_s(self) -> float:
        """When the drafter has last brought something, or else when it might first have been told of the base."""
        return self._since_s

    def admit(self) -> None:
        """The verifier has nothing to do: the drafter may be told of the base."""
        if self._state is _State.ASKING:
            self.touch()
            self._state = _State.ADMITTED
            self._admitted.set()

    async def admission(self) -> None:
        """Returns when a drafter may be told of the base; at once if one has been told already."""
        if self._state is _State.BOUND:
            return
        self._state = _State.ASKING
        self._admitted.clear()
        self._wake.set()
        await self._admitted.wait()

    def bind(self, digest: bytes) -> None:
        """A drafter of this digest has been told of the base."""
        if self._state is not _State.BOUND:
            self.touch()
        self._state, self._digest = _State.BOUND, digest

    def release(self) -> None:
        """No drafter has been told after all; one that had been told of this very base still binds."""
        if self._state in {_State.ASKING, _State.ADMITTED}:
            self._state = _State.FREE
            self._wake.set()

    def settled(self, *, at_work: bool) -> None:
        """The base has moved on; ``at_work``: a drafter is about to be told of the new one (:meth:`bind`)."""
        self.touch()
        if self._state is _State.BOUND:
            self._state, self._digest = (_State.ADMITTED if at_work else _State.FREE), None
            self.changed.notify()

    def touch(self) -> None:
        """The drafter has brought something."""
        self._since_s = self._clock.monotonic()
