"""What an operator can set of routing."""

from __future__ import annotations

from dataclasses import dataclass, field

from draftmesh.coordinator.routing.moving import MovingConfig
from draftmesh.coordinator.routing.rates import RatesConfig


@dataclass(frozen=True, slots=True)
class RoutingConfig:
    """How drafters are chosen, and left."""

    rates: RatesConfig = field(default_factory=RatesConfig)
    moving: MovingConfig = field(default_factory=MovingConfig)

    def validate(self) -> None:
        """Raise ConfigError, naming the field, if a value makes no sense."""
        self.rates.validate()
        self.moving.validate()
