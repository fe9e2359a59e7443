"""The law through the whole product: gRPC, engines, coordinator and client, with drafters behind a bad network."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from draftmesh.core.sampling import Method
from tests.helpers.joint_law import shortened
from tests.helpers.wire_scene import MANY_SESSIONS, TOKENS, drafters_for, wire_law, wire_scene
from tests.lossless.cells import Finding, finding_of, seeds_of

METHODS = (Method.EXACT, Method.TLI_EXACT, Method.TLI, Method.REJECTION, Method.SLRS)
_FIRST_CELL = 800  # no other cell has its seeds


@dataclass(frozen=True, slots=True)
class WireFinding:
    """What generations say, and what they went through."""

    finding: Finding
    accepted: int
    """Draft tokens that were accepted."""

    disturbances: dict[str, int]
    """How often each kind has happened."""


def find_on_wire(
    method: Method, samples: int, *, is_disturbed: bool = True, sessions: int = MANY_SESSIONS
) -> WireFinding:
    """Generate ``samples`` times, ``sessions`` at a time, and compare the first tokens with the law.

    Drafters are swapped under way, and what they say is disturbed; if it is not to be, sessions wait for whole drafts.
    """
    return asyncio.run(_find(method, samples, is_disturbed=is_disturbed, sessions=sessions))


async def _find(method: Method, samples: int, *, is_disturbed: bool, sessions: int) -> WireFinding:
    index = METHODS.index(method)
    async with wire_scene(drafters_for(method), seed=index, is_disturbed=is_disturbed) as scene:
        generations = await scene.generations(method, seeds_of(_FIRST_CELL + index, samples), sessions=sessions)
    assert all(generation.method == method.label for generation in generations)
    laws = [shortened(wire_law(), length) for length in range(1, TOKENS + 1)]
    outcomes = [generation.token_ids[:TOKENS] for generation in generations]
    accepted = sum(token.drafted for generation in generations for token in generation.tokens)
    return WireFinding(finding_of(outcomes, laws), accepted, dict(scene.disturbances))
