"""What a benchmark measures: the two models, and how dear their steps are."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from draftmesh.bench.pair_specs import Members
from draftmesh.core.endpoint import CostPoint
from draftmesh.decoding.draft_length import CostCurve
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
        """What verifying so many rows takes by the cost curve; 0 if the verifier has published none."""
        steps = CostCurve.of(self.target_costs)
        return steps.ms(rows) if steps is not None else 0.0


async def subject_of(pair: Pair, members: Members) -> Subject:
    """What the members say of themselves.

    Raises:
        UnavailableError: one does not answer.
    """
    verifier, drafter = members.verifier.address, members.drafters[0].address
    target_costs, drafter_costs = await _costs(GrpcVerifier(verifier)), await _costs(GrpcDrafter(drafter))
    ratio = drafter_costs[0].milliseconds / target_costs[0].milliseconds if drafter_costs and target_costs else None
    return Subject(pair, await model_sizes(verifier, drafter), ratio, target_costs)


async def _costs(peer: GrpcVerifier | GrpcDrafter) -> tuple[CostPoint, ...]:
    """A daemon's published cost curve: the first report of its Watch stream."""
    async with peer:
        reports: Any = peer.watch()  # an async generator, whatever its Protocol shows
        async with aclosing(reports):
            async for report in reports:
                return tuple(report.costs)
    return ()
