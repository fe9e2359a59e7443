"""What an operator can set on a coordinator shard, validated once at start."""

from __future__ import annotations

from dataclasses import dataclass, field

from draftmesh.coordinator.admission import AdmissionConfig
from draftmesh.coordinator.backoff import BackoffConfig
from draftmesh.coordinator.loop.config import GenerationConfig
from draftmesh.coordinator.methods.choice import MethodChoiceConfig
from draftmesh.coordinator.routing.config import RoutingConfig
from draftmesh.coordinator.sessions.store import MemoryStoreConfig
from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_not_negative, require_positive
from draftmesh.transport.config import require_address


@dataclass(frozen=True, slots=True)
class CoordinatorConfig:
    """One coordinator shard."""

    drafters: tuple[str, ...] = ()
    """Addresses of drafters, host:port."""

    verifiers: tuple[str, ...] = ()
    """Addresses of verifiers, host:port."""

    listen: str = "127.0.0.1:50051"
    """Host and port to listen on; port 0 takes a free one."""

    reuse_port: bool = False
    """Share the port with the other shards of this machine (SO_REUSEPORT)."""

    own_listen: str | None = None
    """Where this shard alone listens too, for the other shards; needed when the port is shared."""

    shard: int = 0
    """Number of this shard, from 0; session ids carry it."""

    peers: tuple[str, ...] = ()
    """Address of every shard in the order of their numbers, this one included; empty: there is no other."""

    trust_drafters: bool = False
    """Whether methods may rely on what drafters say of their own draws: tli, rejection and slrs are refused else."""

    draft_tokens: int = 8
    """Target tokens of a draft at most, where a request does not say."""

    max_draft_tokens: int = 64
    """What a request may ask for at most."""

    default_max_tokens: int = 512
    """``max_tokens`` of a request without one; less where the context has less room."""

    max_prompt_bytes: int = 4 << 20
    """Text of a prompt at most."""

    drain_grace_s: float = 30.0
    """How long sessions may go on after the signal to stop."""

    pool_backoff: BackoffConfig = field(default_factory=BackoffConfig)
    """Before a pool member that does not answer is asked again."""

    admission: AdmissionConfig = field(default_factory=AdmissionConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    method_choice: MethodChoiceConfig = field(default_factory=MethodChoiceConfig)
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    memory_store: MemoryStoreConfig = field(default_factory=MemoryStoreConfig)

    def validate(self) -> None:
        """Raise :class:`ConfigError`, naming the field, if a value makes no sense."""
        if self.shard < 0 or (self.peers and self.shard >= len(self.peers)):
            raise ConfigError(f"shard is {self.shard}, but peers lists {len(self.peers)} shards")
        if not 1 <= self.draft_tokens <= self.max_draft_tokens:
            raise ConfigError(f"draft_tokens must be in [1, {self.max_draft_tokens}], got {self.draft_tokens}")
        require_positive(self, "default_max_tokens", "max_prompt_bytes", "admission.max_sessions")
        require_not_negative(self, "drain_grace_s")
        self.generation.validate()
        self.method_choice.validate()
        self.routing.validate()
        self._check_addresses()

    def _check_addresses(self) -> None:
        require_address("listen", self.listen, lowest_port=0)
        if self.own_listen is not None:
            require_address("own_listen", self.own_listen, lowest_port=0)
        for name in ("drafters", "verifiers", "peers"):
            for address in getattr(self, name):
                require_address(name, address)
