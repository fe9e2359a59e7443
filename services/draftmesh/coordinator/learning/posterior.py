"""How good something is when little of it has been seen: a guess, corrected by what was seen as far as that speaks.

The posterior of a normal prior: Gelman et al., Bayesian Data Analysis (2013), section 2.5. Both the choice of a method
and the choice of a drafter draw from it (Thompson sampling; Chapelle and Li, 2011): what may be the best is tried as
often as it is likely to be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantity, and how far off it may be; both in the quantity's unit."""

    mean: float
    deviation: float = 0.0
    """Standard deviation."""

    def draw(self, random: Random) -> float:
        """A value that it may have."""
        return random.gauss(self.mean, self.deviation)

    def scaled(self, factor: float) -> Estimate:
        """That of the quantity times ``factor``."""
        return Estimate(self.mean * factor, self.deviation * factor)

    def over(self, other: Estimate) -> Estimate:
        """That of the quotient of two quantities that have nothing to do with each other, the other one above 0."""
        mean = self.mean / other.mean
        return Estimate(mean, math.hypot(self.deviation / other.mean, mean * other.deviation / other.mean))

    def exceeds(self, other: Estimate, *, margin: float, doubts: float) -> bool:
        """Whether it is above ``1 + margin`` of the other one, by so many standard deviations of what is unsure."""
        lead = self.mean - (1.0 + margin) * other.mean
        return lead > doubts * math.hypot(self.deviation, other.deviation)


@dataclass(frozen=True, slots=True)
class Scatter:
    """How far things are from what is expected of them: relative standard deviations, above 0."""

    noise: float
    """Of one observation, from the true value."""

    spread: float
    """Of the true value, from the guess."""

    def posterior(self, guess: float, seen: float, observations: float) -> Estimate:
        """What is to be believed after so many observations (they need not be whole) whose mean is ``seen``."""
        prior_observations = (self.noise / self.spread) ** 2  # say as much as the guess does
        weight = observations / (observations + prior_observations)
        return Estimate(guess + weight * (seen - guess), guess * self.spread * math.sqrt(1.0 - weight))
