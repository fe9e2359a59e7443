"""What a feed is given: its numbers, and what it shares with the loop of its session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from draftmesh.coordinator.backoff import BackoffConfig
from draftmesh.core.draft import DraftOpen
from draftmesh.core.protocols import WholeVocabulary
from draftmesh.core.text import Item


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

    @property
    def stall_s(self) -> float:
        """``slrs``: how long one drafter may owe something."""
        return self.bond_patience_ms / 2e3


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
