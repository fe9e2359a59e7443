"""Blocks that are lost, repeated, late and out of order, and drafters that vanish under way, leave the law as it is.

Hundreds of generations here, for gross errors; ``make lossless`` asks for more.
"""

from __future__ import annotations

import pytest
import torch

from draftmesh.core.sampling import Method
from tests.helpers.disturbing_drafter import disturbances
from tests.lossless.mutants import MUTANTS
from tests.lossless.suite import num_cells
from tests.lossless.wire import METHODS, find_on_wire

torch.set_num_threads(1)
SAMPLES = 200
CONTROL_SAMPLES = 600


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
def test_a_bad_network_leaves_the_law_as_it_is(method: Method) -> None:
    """Drafts are accepted, every disturbance happens, and the tokens are the target's own."""
    found = find_on_wire(method, SAMPLES)
    print(f"\n{method.label}: {found.finding.joint}, {found.accepted} accepted, {found.disturbances}")
    assert found.accepted > 0
    assert set(found.disturbances) == disturbances(method)
    assert found.finding.is_faithful(num_cells())


@pytest.mark.parametrize("method", [Method.TLI, Method.REJECTION], ids=lambda method: method.label)
def test_a_session_that_is_alone_has_the_law(method: Method) -> None:
    """The target waits for its drafts, which pause where the drafter is unsure."""
    found = find_on_wire(method, SAMPLES, sessions=1)
    print(f"\n{method.label}: {found.finding.joint}, {found.accepted} accepted, {found.disturbances}")
    assert found.accepted > 0
    assert found.finding.is_faithful(num_cells())


def test_control_a_planted_bug_is_seen_through_the_whole_product() -> None:
    """A drafter that proposes its likeliest token, and reports the distribution, biases the text."""
    # Undisturbed: how many tokens a session judges, and so how much a bug shows, depends on the machine's load else.
    mutant = next(mutant for mutant in MUTANTS if mutant.cell.method is Method.TLI)
    with mutant.plant():
        found = find_on_wire(Method.TLI, CONTROL_SAMPLES, is_disturbed=False)
    print(f"\n{mutant.name}: {found.finding.clearest}")
    assert not found.finding.is_faithful(num_cells())
