"""What an operator can set on a drafter, validated once at start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_at_least, require_not_negative, require_positive
from draftmesh.drafter.lookup import LookupConfig
from draftmesh.engine.config import EngineConfig

DrafterKind = Literal["model", "ngram"]


@dataclass(frozen=True, slots=True)
class DrafterConfig:
    """A drafter daemon: one way of proposing text behind one address."""

    engine: EngineConfig | None = None
    """The drafter model, and how the engine runs it; None for a drafter without a model."""

    kind: DrafterKind = "model"
    """``model`` draws from ``engine``'s model; ``ngram`` repeats what the text has said before."""

    name: str | None = None
    """Public name of the drafter; None: the last part of ``engine.model``, or ``ngram``."""

    listen: str = "127.0.0.1:50071"
    """Host and port to listen on; port 0 takes a free one."""

    max_sessions: int = 64
    """Sessions with an open stream, at most; the next one is refused with a hint to come back."""

    max_ahead_tokens: int = 32
    """Draft tokens beyond the last commit, at most, whatever a session asks for."""

    default_ahead_tokens: int = 8
    """The same for sessions that ask for nothing."""

    block_interval_ms: float = 4.0
    """Tokens that are drawn within this time of a block wait for the next one: fewer messages from a fast drafter."""

    healing: bool = True
    """Redraw a committed text's last token where no text of this model would end in it (module ``healing``)."""

    lookup: LookupConfig = field(default_factory=LookupConfig)
    """How ``ngram`` looks for repetitions."""

    lookup_context_bytes: int = 65_536
    """End of the context that ``ngram`` searches."""

    max_vocabularies: int = 8
    """Registered target vocabularies that are kept, the latest used."""

    max_psi_paths: int = 512
    """Paths of an ``slrs`` draft tree that ψ of one sequence may need; where it needs more nothing is proposed."""

    extra_sequences: int = 16
    """Engine sequences that all sessions together may open beside their own, to compute the paths of ``slrs`` and the
    branches of ``exact`` in one step."""

    watch_interval_s: float = 1.0
    """A load report is sent at least this often to everyone who watches."""

    retry_after_ms: int = 500
    """The hint that goes with a refusal for want of a free session."""

    drain_grace_s: float = 10.0
    """How long open sessions may go on after the signal to stop."""

    def validate(self) -> None:
        """Raise :class:`ConfigError`, naming the field, if a value is outside its range."""
        self._validate_kind()
        require_at_least(1, self, "max_sessions", "max_ahead_tokens", "default_ahead_tokens")
        require_at_least(1, self, "max_vocabularies", "retry_after_ms")
        if self.default_ahead_tokens > self.max_ahead_tokens:
            raise ConfigError("default_ahead_tokens must not be above max_ahead_tokens")
        require_at_least(1, self, "max_psi_paths")
        require_at_least(0, self, "extra_sequences")
        require_not_negative(self, "block_interval_ms", "lookup_context_bytes", "drain_grace_s")
        require_positive(self, "watch_interval_s")
        self.lookup.validate()

    @property
    def public_name(self) -> str:
        """What the drafter is called."""
        default = self.engine.model.rstrip("/").rpartition("/")[2] if self.engine else self.kind
        return self.name or default

    def _validate_kind(self) -> None:
        if self.kind not in get_args(DrafterKind):
            raise ConfigError(f"kind must be one of {', '.join(get_args(DrafterKind))}, got {self.kind}")
        if (self.kind == "model") != (self.engine is not None):
            raise ConfigError("kind model needs an engine, and kind ngram has none")
        if self.engine is None:
            return
        self.engine.validate()
        if self.engine.max_sequences < self.max_sessions:
            raise ConfigError(
                f"engine.max_sequences is {self.engine.max_sequences}, less than max_sessions {self.max_sessions}"
            )
