"""The joint law of a session's first three tokens is the target's own, for every method under every setting.

Thousands of sessions here, for gross errors; ``make lossless`` plays many times more. Seeds are fixed, so what passes
passes always.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.helpers.joint_law import joint_law
from tests.helpers.toy_sessions import TOKENS
from tests.lossless.cells import GREEDY, GREEDY_NAME, Cell, find, outcomes_of, seeds_of
from tests.lossless.suite import all_cells, num_cells

torch.set_num_threads(1)
CELLS = all_cells()
SAMPLES = 1500


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, id=f"{cell.name}-{cell.setting_name}".replace(" ", "-")) for cell in CELLS]
)
def test_committed_tokens_have_the_law_of_the_target_alone(cell: Cell) -> None:
    """Neither chi-square nor total variation tells the sessions' tokens from the target's own."""
    finding = find(cell, seeds_of(CELLS.index(cell), SAMPLES))
    print(f"\n{cell.name}, {cell.setting_name}: {finding.joint}")
    assert finding.is_faithful(num_cells())


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, id=cell.name.replace(" ", "-")) for cell in CELLS if cell.setting == "T=0.3"]
)
def test_at_temperature_0_every_method_says_the_likeliest_tokens(cell: Cell) -> None:
    """Whatever the noise: 100 sessions say the same."""
    greedy = replace(cell, setting=GREEDY_NAME)
    (said,) = joint_law(greedy.pair.target(), GREEDY, TOKENS)
    assert set(outcomes_of(greedy, seeds_of(0, 100))) == {said}
