"""How large and how dear the two models of a served pair are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.client import PoolMember
from draftmesh.core.endpoint import LoadReport
from draftmesh.transport.peers import GrpcDrafter, GrpcVerifier


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """Numbers of weights."""

    target: int
    drafter: int
    """0: no model."""


async def model_sizes(verifier: str, drafter: str) -> ModelSizes:
    """What the daemons at these addresses say of themselves.

    Raises:
        UnavailableError: one of them does not answer.
    """
    async with GrpcVerifier(verifier) as target, GrpcDrafter(drafter) as helper:
        return ModelSizes((await target.info()).parameters, (await helper.info()).parameters)


def cost_ratio(members: Sequence[PoolMember]) -> float | None:
    """Milliseconds of the drafter's smallest step by those of the target's; None before both have made one."""
    costs = {member.kind: _least_milliseconds(member.load) for member in members}
    drafter, target = costs.get("drafter"), costs.get("verifier")
    return drafter / target if drafter and target else None


def _least_milliseconds(load: LoadReport) -> float | None:
    return load.costs[0].milliseconds if load.costs else None
