"""The suite finds what it is there to find: planted bugs make it fail."""

from __future__ import annotations

import pytest
import torch

from tests.lossless.cells import SETTINGS, find, seeds_of
from tests.lossless.mutants import MUTANTS, find_mutant
from tests.lossless.suite import all_cells, num_cells

torch.set_num_threads(1)
SAMPLES = 4000


@pytest.mark.parametrize("name", [mutant.name for mutant in MUTANTS])
def test_the_suite_fails_while_a_bug_is_planted(name: str) -> None:
    """A small part of what ``make lossless`` plays is enough; there each is caught by a wide margin."""
    index = [mutant.name for mutant in MUTANTS].index(name)
    finding = find_mutant(index, SAMPLES)
    print(f"\n{name}: {finding.clearest.margin:.1f} times the noise, p-value {finding.least_p_value:.3g}")
    assert not finding.is_faithful(num_cells())


def test_a_planted_bug_is_gone_afterwards() -> None:
    """Planting leaves no trace: the same sessions say the same before and after all mutants."""
    cell = next(cell for cell in all_cells() if cell.setting == next(iter(SETTINGS)))
    before = find(cell, seeds_of(0, 200))
    for mutant in MUTANTS:
        with mutant.plant():
            pass
    assert find(cell, seeds_of(0, 200)) == before
