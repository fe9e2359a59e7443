"""How two rows compare that have done the same tasks, in the same order."""

from __future__ import annotations

from collections.abc import Sequence

from draftmesh.bench.peers.contestant import Served
from draftmesh.bench.spread import Spread


def speeds(served: Sequence[Served]) -> Spread:
    """Tokens per second of each generation."""
    return Spread.of([one.tokens_per_second for one in served])


def paired_ratio(served: Sequence[Served], others: Sequence[Served]) -> Spread:
    """Above 1 where ``served`` is faster: speeds compared task by task, so that an easy prompt counts for neither."""
    pairs = zip(served, others, strict=True)
    return Spread.of([one.tokens_per_second / other.tokens_per_second for one, other in pairs])
