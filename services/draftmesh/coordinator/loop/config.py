"""What an operator can set of the loop that every session runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from draftmesh.coordinator.drafting.stage import FeedConfig
from draftmesh.coordinator.loop.draft_length import DraftLengthConfig
from draftmesh.coordinator.loop.failover import FailoverConfig
from draftmesh.coordinator.loop.pace import PaceConfig
from draftmesh.coordinator.openings import ProposalConfig
from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_not_negative, require_positive, require_up_to
from draftmesh.core.verify import MIN_WAITING_ROUNDS


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Numbers of the loop."""

    rounds_ahead: int = MIN_WAITING_ROUNDS - 1
    """Drafts that may be sent to the verifier while another one is being judged, for what it may say next, and after
    that; more than one only to a verifier that is far. At most 15: every verifier lets 16 rounds wait, and the draft
    that follows what has not been guessed is one of them; 0: none."""

    free_run_steps: int = 16
    """Steps that the target takes alone before a session with a drafter looks again."""

    pace: PaceConfig = field(default_factory=PaceConfig)
    draft_length: DraftLengthConfig = field(default_factory=DraftLengthConfig)
    feed: FeedConfig = field(default_factory=FeedConfig)
    failover: FailoverConfig = field(default_factory=FailoverConfig)
    proposals: ProposalConfig = field(default_factory=ProposalConfig)

    def validate(self) -> None:
        """Raise :class:`ConfigError`, naming the field, if a value makes no sense."""
        require_not_negative(self, "rounds_ahead", "pace.far_share", "pace.min_wait_ms")
        if self.rounds_ahead >= MIN_WAITING_ROUNDS:
            raise ConfigError(f"rounds_ahead must be below {MIN_WAITING_ROUNDS}, got {self.rounds_ahead}")
        require_positive(self, "pace.initial_step_ms", "pace.max_wait_ms")
        require_positive(self, "free_run_steps", "feed.max_ahead_tokens", "feed.bond_patience_ms")
        require_positive(self, "failover.patience_ms", "failover.silence.steps", "failover.silence.floor_ms")
        require_positive(self, "proposals.support", "proposals.psi_cap_bytes")
        require_up_to(1, self, "pace.free_step_share", "pace.run_on_share", "pace.smoothing")
        require_not_negative(self, "failover.silence.first_floor_ms", "failover.silence.prompt_token_ms")
        self.draft_length.validate()
