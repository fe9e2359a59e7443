"""What a benchmark measures: the two models, and how dear their steps are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from draftmesh.bench.pair_specs import Members
from draftmesh.core.endpoint import CostPoint
from draftmesh.inspection.sizes import ModelSizes, model_sizes
from draftmesh.transport.peers import GrpcDrafter, GrpcVerifier


@dataclass(frozen=True, slots=True)
class Pair:
    """The models, as a user names them, and the threads that they have."""

    target: str
    drafter: str
    is_expanded: bool
    """Whether the target is the packaged one, which says what a small model says and costs what a large one costs."""

    verifier_threads: int
    drafter_threads: int


@dataclass(frozen=True, slots=True)
class Subject:
    """The models as they are served."""

    pair: Pair
    sizes: ModelSizes
    cost_ratio: float | None
    """Time of a drafter's step by that of a target's; None for a drafter without a model."""

    target_costs: tuple[CostPoint, ...]
    """The verifier's published cost curve, before it has served anybody."""

    @property
    def title(self) -> str:
        """What was measured, in words."""
        target = "expanded demo target" if self.pair.is_expanded else self.pair.target
        ratio = f"; a drafter's step takes {self.cost_ratio:.2f} of a target's" if self.cost_ratio else ""
        return (
            f"{target} of {self.sizes.target / 1e6:.0f} M parameters on {self.pair.verifier_threads} threads, "
            f"drafter {self.pair.drafter} of {self.sizes.drafter / 1e6:.1f} M on {self.pair.drafter_threads}{ratio}"
        )

    def verification_ms(self, rows: int) -> float:
        """What verifying so many rows takes by the cost curve, between its points by their distance."""
        return interpolated_ms(self.target_costs, rows)


async def subject_of(pair: Pair, members: Members) -> Subject:
    """What the members say of themselves.

    Raises:
        UnavailableError: one does not answer.
    """
    verifier, drafter = members.verifier.address, members.drafters[0].address
    target_costs, drafter_costs = await _costs(GrpcVerifier(verifier)), await _costs(GrpcDrafter(drafter))
    ratio = drafter_costs[0].milliseconds / target_costs[0].milliseconds if drafter_costs and target_costs else None
    return Subject(pair, await model_sizes(verifier, drafter), ratio, target_costs)


def interpolated_ms(costs: Sequence[CostPoint], rows: int) -> float:
    """The milliseconds of a step with ``rows`` rows on a cost curve by growing rows; 0 for a curve without points.

    Beyond its ends the curve is taken to go on as its nearest point.
    """
    below = [point for point in costs if point.rows <= rows]
    above = [point for point in costs if point.rows >= rows]
    if not below or not above:
        return (below[-1:] or above[:1] or [CostPoint(rows, 0.0)])[0].milliseconds
    low, high = below[-1], above[0]
    share = (rows - low.rows) / (high.rows - low.rows) if high.rows > low.rows else 0.0
    return low.milliseconds + share * (high.milliseconds - low.milliseconds)


async def _costs(peer: GrpcVerifier | GrpcDrafter) -> tuple[CostPoint, ...]:
    """A daemon's published cost curve: the first report of its Watch stream."""
    async with peer:
        reports: Any = peer.watch()  # an async generator, whatever its Protocol shows
        async with aclosing(reports):
            async for report in reports:
                return tuple(report.costs)
    return ()
