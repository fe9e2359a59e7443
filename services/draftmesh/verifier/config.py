"""What an operator can set on a verifier, validated once at start."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_at_least, require_between, require_not_negative, require_positive
from draftmesh.core.verify import MAX_LOOKUP_TOKENS, MIN_WAITING_ROUNDS
from draftmesh.engine.config import EngineConfig


@dataclass(frozen=True, slots=True)
class VerifierConfig:
    """A verifier daemon: one target model behind one address."""

    engine: EngineConfig
    """The target model, and how the engine runs it."""

    model_name: str | None = None
    """The model's public name, which clients ask for; None: the last part of ``engine.model``."""

    listen: str = "127.0.0.1:50061"
    """Host and port to listen on; port 0 takes a free one."""

    max_sessions: int = 64
    """Sessions with an open stream, at most; the next one is refused with a hint to come back."""

    max_draft_tokens: int = 32
    """Draft tokens of one round, at most."""

    open_timeout_s: float = 10.0
    """A stream that says nothing for so long after it was opened is refused."""

    max_waiting_rounds: int = MIN_WAITING_ROUNDS
    """Rounds of one session that may wait for those before them, at most; no fewer than 16, which coordinators count
    on."""

    kept_rounds: int = 8
    """Answered rounds of a session whose verdicts can be asked for again."""

    flush_interval_ms: float = 50.0
    """A free run sends its tokens at least this often, but for steps that are put off."""

    lookup_tokens: int = 5
    """Tokens at most that a step without a draft judges: what followed where the text's end occurred before. As many as
    pay, by what of them stands and what a row costs. For ``exact`` and ``tli-exact``, whose text is the same; at most
    8; 0: none."""

    gathers: bool = True
    """Put a step off for sessions that are about to come back with their next draft, where two steps would cost more
    than the wait."""

    calibrate: bool = True
    """Measure the duration of a few steps before serving, so that the cost curve is there from the start."""

    watch_interval_s: float = 1.0
    """A load report is sent at least this often to everyone who watches."""

    retry_after_ms: int = 500
    """The hint that goes with a refusal for want of a free session."""

    drain_grace_s: float = 30.0
    """How long open sessions may go on after the signal to stop."""

    def validate(self) -> None:
        """Raise :class:`ConfigError`, naming the field, if a value is outside its range."""
        self.engine.validate()
        require_at_least(1, self, "max_sessions", "max_draft_tokens")
        require_at_least(MIN_WAITING_ROUNDS, self, "max_waiting_rounds")
        require_at_least(1, self, "kept_rounds", "retry_after_ms")
        require_between(0, MAX_LOOKUP_TOKENS, self, "lookup_tokens")
        require_not_negative(self, "flush_interval_ms", "drain_grace_s")
        require_positive(self, "watch_interval_s", "open_timeout_s")
        if self.engine.max_sequences < self.max_sessions:
            raise ConfigError(
                f"engine.max_sequences is {self.engine.max_sequences}, less than max_sessions {self.max_sessions}"
            )

    @property
    def public_name(self) -> str:
        """What clients call the model."""
        return self.model_name or self.engine.model.rstrip("/").rpartition("/")[2]
