"""Which of the scored members is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from draftmesh.coordinator.routing.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Scored:
    """A member and its total score."""

    candidate: Candidate
    score: float


class PowerOfTwo:
    """Draws two members at random and takes the one with the better score (Mitzenmacher, 2001).

    Shards decide at the same time on reports of the same age: if all took the best one, they would all take the same.
    """

    def __init__(self, random: Random) -> None:
        """Draw with ``random``."""
        self._random = random

    def pick(self, scored: Sequence[Scored]) -> Candidate:
        """One of ``scored``, of which there is at least one."""
        drawn = self._random.sample(list(scored), min(2, len(scored)))
        return max(drawn, key=lambda entry: entry.score).candidate
