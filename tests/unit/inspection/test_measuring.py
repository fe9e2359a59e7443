"""Sums over generations, and the cost of ψ."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from draftmesh.client import PoolMember
from draftmesh.core.endpoint import CostPoint, LoadReport
from draftmesh.core.ledger import Ledger
from draftmesh.inspection.measuring import methods_chosen, sum_up
from draftmesh.inspection.psi_cost import PsiCost, PsiCount, PsiMeter
from draftmesh.inspection.sizes import cost_ratio
from draftmesh.telemetry.metrics import PSI, PSI_ROWS
from tests.unit.inspection.builders import timed


def test_figures_are_sums_over_all_generations() -> None:
    """Long generations weigh more than short ones, in acceptance, bytes and speed alike."""
    figures = sum_up([timed(10, 1.0, drafted=8, accepted=6), timed(30, 3.0, drafted=2, accepted=2)])
    assert (figures.generations, figures.tokens, figures.drafted_tokens) == (2, 40, 10)
    assert (figures.acceptance_rate, figures.acceptance_length) == (0.8, 5.0)
    assert (figures.accepted_bytes_per_target_step, figures.tokens_per_second) == (2.0, 10.0)


def test_the_error_of_the_rate_is_that_of_a_ratio() -> None:
    """Generations that agree leave none; two of equal weight at 0.75 and 0.25 leave half their difference."""
    alike = sum_up([timed(4, 1.0, drafted=8, accepted=4), timed(4, 1.0, drafted=4, accepted=2)])
    apart = sum_up([timed(8, 1.0, drafted=8, accepted=6), timed(8, 1.0, drafted=8, accepted=2)])
    assert (alike.acceptance_error, apart.acceptance_error) == pytest.approx((0.0, 0.25))


def test_without_drafting_nothing_was_accepted() -> None:
    """The figures of ``off`` are numbers all the same."""
    figures = sum_up([timed(10, 2.0)])
    assert (figures.acceptance_rate, figures.acceptance_length, figures.accepted_bytes_per_target_step) == (0, 1, 0)


def test_auto_is_told_by_what_it_chose() -> None:
    """Each method, with the number of its sessions."""
    served = [timed(1, 1.0, method=method) for method in ("tli", "exact", "tli")]
    assert methods_chosen(served) == {"exact": 1, "tli": 2}


def test_psi_is_counted_by_the_drafters_own_counters() -> None:
    """Other instruments do not count, and what was there before is taken off."""
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("drafter")
    psi, rows, other = (meter.create_counter(name) for name in (PSI, PSI_ROWS, "draftmesh.rounds"))
    psi_meter = PsiMeter(reader)
    assert psi_meter.read() == PsiCount(0, 0)
    psi.add(5), rows.add(7)
    before = psi_meter.read()
    psi.add(20), rows.add(30), other.add(99)
    assert psi_meter.read().minus(before).cost(10) == PsiCost(per_committed_token=2.0, rows_per_psi=1.5)


def test_a_method_without_psi_has_no_cost_of_it() -> None:
    """Nobody asked: there is nothing to divide."""
    assert PsiCount(0, 0).plus(PsiCount(0, 3)).cost(10) is None


def member(kind: str, *milliseconds: float) -> PoolMember:
    """A member whose smallest steps took so long."""
    costs = tuple(CostPoint(rows + 1, cost) for rows, cost in enumerate(milliseconds))
    return PoolMember(kind, "host:1", "toy", True, LoadReport(costs=costs), Ledger(), trusted=True)


def test_the_cost_ratio_is_that_of_the_smallest_steps() -> None:
    """A drafter's by a target's."""
    assert cost_ratio([member("drafter", 3.0, 9.0), member("verifier", 12.0, 14.0)]) == pytest.approx(0.25)


def test_the_cost_ratio_is_unknown_before_both_have_run() -> None:
    """A drafter without an engine has no steps."""
    assert cost_ratio([member("drafter"), member("verifier", 12.0)]) is None
