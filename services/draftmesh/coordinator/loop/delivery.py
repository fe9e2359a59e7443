"""Hands over what the target has settled, in order and without gaps, also while its taker is away for a while."""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random
from typing import Protocol

from draftmesh.coordinator.backoff import Backoff
from draftmesh.coordinator.loop.failover import FailoverConfig, is_retryable
from draftmesh.coordinator.loop.transcript import Advance
from draftmesh.core.errors import DraftmeshError
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Clock


class Output(Protocol):
    """Where a session's text goes."""

    async def advance(self, advance: Advance, ledger: Ledger) -> None:
        """Persist and publish what the target has settled, in order; ``ledger`` is the session's so far."""


class Delivery:
    """What one session has to hand over."""

    def __init__(self, output: Output, config: FailoverConfig, *, clock: Clock, random: Random) -> None:
        self._output = output
        self._patience_s = config.patience_ms / 1e3
        self._backoff = Backoff(config.backoff, random)
        self._clock = clock
        self._waiting: deque[Advance] = deque()

    @property
    def is_empty(self) -> bool:
        """Whether everything is handed over."""
        return not self._waiting

    def add(self, advance: Advance) -> None:
        """This comes next."""
        self._waiting.append(advance)

    async def deliver(self, ledger: Ledger) -> None:
        """Hand over all; what fails is tried again with pauses.

        Raises:
            DraftmeshError: the output's own error, when it makes no sense to try again, or has not for too long.
        """
        give_up_s = self._clock.monotonic() + self._patience_s
        while self._waiting:
            try:
                await self._output.advance(self._waiting[0], ledger)
            except DraftmeshError as error:
                pause_s = self._backoff.next_s()
                if not is_retryable(error) or self._clock.monotonic() + pause_s > give_up_s:
                    raise
                await asyncio.sleep(pause_s)
            else:
                self._waiting.popleft()  # not before: what could not be persisted is still to be delivered
                self._backoff.reset()
