"""Pearson's chi-square test of counts against a law, for the lossless tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

_MIN_EXPECTED = 5.0


def chi_square_p_value(counts: ArrayLike, law: ArrayLike) -> float:
    """The p-value of ``counts`` under the probabilities ``law``; 0 if something impossible was counted.

    Cells expected less than five times are pooled, as the test's approximation needs.
    """
    observed, probability = np.ravel(np.asarray(counts, float)), np.ravel(np.asarray(law, float))
    if observed[probability == 0.0].any():
        return 0.0
    expected = probability * observed.sum()
    rare = (expected < _MIN_EXPECTED) & (probability > 0.0)
    cells = [(observed[i], expected[i]) for i in np.flatnonzero(expected >= _MIN_EXPECTED)]
    if expected[rare].sum() > 0.0:
        cells.append((observed[rare].sum(), expected[rare].sum()))
    assert len(cells) > 1, "a law on one cell tests nothing"
    statistic = sum((seen - mean) ** 2 / mean for seen, mean in cells)
    return float(stats.chi2.sf(statistic, df=len(cells) - 1))
