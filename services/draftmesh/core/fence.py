"""Fencing: who speaks for a session right now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Fence:
    """Carried by every message of a session's streams; a peer that sees a higher fence closes the older stream."""

    session_epoch: int = 1
    """Grows each time a shard takes the session over."""

    attempt: int = 1
    """Grows each time the same shard opens a new stream for the session to a peer."""
