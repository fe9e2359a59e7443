"""A pool of drafters of known worth, and sessions that learn of it as a shard's do: by routing, seat after seat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from draftmesh.coordinator.learning.traffic import Traffic, traffic_of
from draftmesh.coordinator.routing.beliefs import Rates
from draftmesh.coordinator.routing.candidate import Candidate, Wish
from draftmesh.coordinator.routing.profile import Profile, drafter_profile
from draftmesh.coordinator.routing.rates import RatesConfig
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import Method
from tests.helpers.clocks import HandClock

WISH = Wish(Method.EXACT, b"target")
TRAFFIC = traffic_of(b"target", Method.EXACT, temperature=0.0, prompt_tokens=100)
_TOKEN_BYTES = 4
_TARGET_TOKENS_PER_S = 10.0
"""What the target says by itself."""


@dataclass
class SimulatedPool:
    """Sessions of 192 tokens, one after the other; their luck scatters by a third, and that of their parts too."""

    seed: int
    config: RatesConfig = field(default_factory=RatesConfig)

    def __post_init__(self) -> None:
        self.clock = HandClock()
        self.rates = Rates(self.config, self.clock)
        self._luck = Random(self.seed)
        self._profile: Profile = drafter_profile(Random(self.seed + 1000))

    def play(self, worth: Mapping[str, float], sessions: int) -> list[str]:
        """Run sessions with drafters of this worth, in accepted bytes per second; who drafted for each."""
        return [self._play_one(worth) for _ in range(sessions)]

    def _play_one(self, worth: Mapping[str, float]) -> str:
        beliefs = self.rates.beliefs(TRAFFIC)
        chosen = self._profile.choose(
            [candidate(name, rate=beliefs.of(name, name.encode())) for name in worth], WISH, frozenset()
        )
        assert chosen is not None
        self.measure(chosen.address, worth[chosen.address] * max(0.1, self._luck.gauss(1.0, 0.33)))
        return chosen.address

    def measure(self, name: str, bytes_per_s: float, tokens: int = 192) -> None:
        """One session with this drafter."""
        meter = self.rates.meter(TRAFFIC, name, name.encode())
        meter.add(Ledger(committed_tokens=1, elapsed_ms=1e6))
        for _ in range(0, tokens, 16):
            rate = max(0.0, bytes_per_s * self._luck.gauss(1.0, 0.33))
            seconds = 16 / (_TARGET_TOKENS_PER_S + rate / _TOKEN_BYTES)
            self.clock.now_s += seconds
            accepted = round(rate * seconds / _TOKEN_BYTES)
            meter.add(Ledger(0, 16, accepted, 16, 16 * _TOKEN_BYTES, elapsed_ms=1e3 * seconds))
        meter.end()


def teach(rates: Rates, name: str, bytes_per_s: float, *, digest: bytes, traffic: Traffic = TRAFFIC) -> None:
    """Sessions have had this rate with a drafter for a hundred windows."""
    meter = rates.meter(traffic, name, digest)
    meter.add(Ledger(committed_tokens=1))
    for _ in range(100):
        meter.add(Ledger(0, 64, 32, 64, 128, elapsed_ms=64e3 / bytes_per_s))
    meter.end()


def candidate(name: str, **changes: object) -> Candidate:
    """A drafter with eight free slots; its digest is its name."""
    options = {"load": LoadReport(max_sessions=8), "rate": None, **changes}
    return Candidate(name, name, name.encode(), (Method.EXACT,), 4096, **options)  # type: ignore[arg-type]


def regret(chosen: list[str], worth: Mapping[str, float]) -> float:
    """What was lost against an oracle who always takes the best, as a share."""
    return 1.0 - sum(worth[name] for name in chosen) / (len(chosen) * max(worth.values()))
