"""What verifying takes by a published cost curve."""

from __future__ import annotations

from draftmesh.bench.subject import Pair, Subject
from draftmesh.core.endpoint import CostPoint
from draftmesh.inspection.sizes import ModelSizes

PAIR = Pair("target", "drafter", is_expanded=False, verifier_threads=2, drafter_threads=1)


def subject(*costs: CostPoint) -> Subject:
    """A target with these costs."""
    return Subject(PAIR, ModelSizes(10, 1), 0.1, costs)


def test_verifying_takes_what_the_curve_says() -> None:
    """Between two points it is a line; without points it says nothing."""
    known = subject(CostPoint(1, 10.0), CostPoint(8, 24.0), CostPoint(16, 40.0))
    assert [known.verification_ms(rows) for rows in (1, 4, 9, 16)] == [10.0, 16.0, 26.0, 40.0]
    assert subject().verification_ms(4) == 0.0
