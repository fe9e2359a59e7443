"""What an operator can set of routing."""

from __future__ import annotations

from dataclasses import dataclass, field

from draftmesh.coordinator.routing.rates import RatesConfig


@dataclass(frozen=True, slots=True)
class RoutingConfig:
    """How drafters are chosen."""

    rates: RatesConfig = field(default_factory=RatesConfig)

    def validate(self) -> None:
        """Raise ConfigError, naming the field, if a value makes no sense."""
        self.rates.validate()
