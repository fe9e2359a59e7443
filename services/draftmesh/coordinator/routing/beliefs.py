"""What drafters are taken to be worth: a bandit whose arms are the drafters, one for each kind of traffic.

* *Optimism.* A drafter of which nothing has been seen is taken for as good as the others of its digest, and if there
  are none, for as good as the best: it is tried, and a few windows tell.
* *Doubt.* An estimate says how far off it may be, and who chooses draws from it (Thompson sampling). Sessions that
  begin before others have taught anything do not all try the same drafter.
* *Forgetting* (``rates``) leaves the guess: discounted Thompson sampling (Raj and Kalyani, arXiv 1707.09727).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from draftmesh.coordinator.learning.posterior import Estimate, Scatter
from draftmesh.coordinator.learning.traffic import Traffic
from draftmesh.coordinator.routing.rates import DrafterRate, Meter, RatesConfig, Tally
from draftmesh.core.protocols import Clock


class Beliefs:
    """What is believed of the drafters at one moment, in one kind of traffic."""

    def __init__(self, rates: Mapping[str, DrafterRate], scatter: Scatter) -> None:
        self._scatter = scatter
        self._known = {
            (address, rate.digest): tally for address, rate in rates.items() if not (tally := rate.tally).is_forgotten
        }
        self._of_digest: dict[bytes, Tally] = {}
        for (_, digest), tally in self._known.items():
            self._of_digest[digest] = self._of_digest.get(digest, Tally()).plus(tally)
        self.best_bytes_per_s = max((tally.bytes_per_s for tally in self._known.values()), default=0.0)
        """The highest rate that a drafter has shown; 0 if nothing is known."""

    def of(self, address: str, digest: bytes) -> Estimate | None:
        """Accepted bytes per second of a drafter; None if nothing hints at them."""
        own = self._known.get((address, digest), Tally())
        guess = self._guess(own, digest)
        if own.is_forgotten:
            return self._scatter.posterior(guess, guess, 0.0) if guess > 0.0 else None
        return self._scatter.posterior(guess, own.bytes_per_s, own.windows)

    def _guess(self, own: Tally, digest: bytes) -> float:
        """By the others of its digest, or else by the best."""
        others = self._of_digest.get(digest, Tally()).plus(own, -1.0)
        return self.best_bytes_per_s if others.is_forgotten else others.bytes_per_s


class Rates:
    """Of all drafters of a shard; what is known of one that has left goes with it."""

    def __init__(self, config: RatesConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._scatter = Scatter(config.window_noise, config.drafter_spread)
        self._kinds: OrderedDict[Traffic, dict[str, DrafterRate]] = OrderedDict()

    def meter(self, traffic: Traffic, address: str, digest: bytes) -> Meter:
        """Measures a session with this drafter; after it has been forgotten, for nobody."""
        rates = self._kinds.setdefault(traffic, {})
        self._kinds.move_to_end(traffic)
        while len(self._kinds) > self._config.max_kinds:
            self._kinds.popitem(last=False)
        if address not in rates or rates[address].digest != digest:
            rates[address] = DrafterRate(digest, self._config, self._clock)
        return Meter(rates[address], self._config)

    def beliefs(self, traffic: Traffic) -> Beliefs:
        """What is believed now."""
        return Beliefs(self._kinds.get(traffic, {}), self._scatter)

    def forget(self, address: str) -> None:
        """The drafter has left."""
        for traffic, rates in tuple(self._kinds.items()):
            rates.pop(address, None)
            if not rates:
                del self._kinds[traffic]
