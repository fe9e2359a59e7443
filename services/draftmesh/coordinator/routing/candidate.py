"""What routing looks at: a session's wishes and the members that could serve it."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.coordinator.learning.posterior import Estimate
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.sampling import Method


@dataclass(frozen=True, slots=True)
class Wish:
    """What a session needs."""

    method: Method
    target_digest: bytes = b""
    """The target that it decodes with; verifiers must have it."""

    name: str = ""
    """Name of the model that is wanted; empty: any."""

    context_tokens: int = 0
    """Tokens of prompt and generation at most."""

    prompt_ids: tuple[int, ...] = ()
    vocabulary_digest: bytes = b""
    """Of the target; drafters of a method for equal vocabularies must have it."""

    digest: bytes | None = None
    """Drafters: the only digest that will do; None: any."""

    preferred_digest: bytes | None = None
    """Drafters: taken while a member of this digest can serve."""

    banned: frozenset[str] = frozenset()
    """Addresses that are never picked."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ready member of a pool, as it is right now."""

    address: str
    name: str
    digest: bytes
    """Of the target for a verifier, of the drafter for a drafter."""

    methods: tuple[Method, ...]
    max_context_tokens: int
    load: LoadReport
    own_sessions: int = 0
    """Sessions that this shard has there; its last report may not know them yet."""

    vocabulary_digest: bytes = b""
    rate: Estimate | None = None
    """Drafters: bytes accepted per second in sessions of this kind; None: nothing is known."""

    @property
    def sessions(self) -> int:
        """Sessions that are there as far as is known."""
        return max(self.load.active_sessions, self.own_sessions)

    @property
    def free_share(self) -> float:
        """Free slots as a share of all."""
        return max(0.0, 1.0 - self.sessions / self.load.max_sessions) if self.load.max_sessions else 0.0
