"""How far a sample is from a law, and how far a faithful sample would be."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tests.helpers.chi_square import chi_square_p_value
from tests.helpers.joint_law import Law


@dataclass(frozen=True, slots=True)
class Comparison:
    """A sample against its law."""

    samples: int
    total_variation: float
    noise_floor: float
    """The total variation that a sample of this size from the law itself has in the mean."""

    p_value: float
    """Of Pearson's chi-square test; 0 if something impossible occurred."""

    @property
    def margin(self) -> float:
        """Total variation in units of the noise floor; about 1 for a faithful sample."""
        return self.total_variation / self.noise_floor

    def is_faithful(self, significance: float) -> bool:
        """Whether neither test rejects the law at this significance.

        Total variation is a mean of bounded differences: it exceeds its mean by e with probability exp(-2 N e²) at most
        (McDiarmid's inequality).
        """
        slack = math.sqrt(math.log(1.0 / significance) / (2.0 * self.samples))
        return self.p_value > significance and self.total_variation <= self.noise_floor + slack


def compare(outcomes: Iterable[tuple[int, ...]], law: Law) -> Comparison:
    """Compare a sample of sequences with the law of sequences."""
    counted = Counter(outcomes)
    sequences = [*law, *(sequence for sequence in counted if sequence not in law)]
    counts = np.array([counted[sequence] for sequence in sequences], dtype=np.float64)
    p = np.array([law.get(sequence, 0.0) for sequence in sequences])
    samples = int(counts.sum())
    distance = 0.5 * float(np.abs(counts / samples - p).sum())
    return Comparison(samples, distance, noise_floor(law, samples), chi_square_p_value(counts, p))


def noise_floor(law: Law, samples: int) -> float:
    """The mean total variation of ``samples`` draws from the law itself, exactly.

    Half the sum of the mean absolute deviations of binomial counts (De Moivre's formula); about
    ``sum sqrt(p (1 - p) / (2 pi N))`` where N p is large.
    """
    p = np.array(list(law.values()))
    above = np.floor(samples * p) + 1.0
    return float((above * (1.0 - p) * stats.binom.pmf(above, samples, p)).sum() / samples)
