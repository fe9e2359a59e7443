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
    """The best of an idle pool; under load, the better one of two that are drawn from those that are nearly the best.

    Shards decide at the same time on reports that are as old for all of them: if all took the best member, they would
    all take the same one (Mitzenmacher, How Useful Is Old Information?, 2000). Drawing two and taking the better one
    keeps them apart, and costs little evenness (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing,
    2001), where members are alike. Where they are not, two that are drawn from all are often both bad, while good ones
    are free (Mukhopadhyay and Mazumdar, Analysis of Randomized Join-the-Shortest-Queue Schemes in Large Heterogeneous
    Processor-Sharing Systems, 2016): so what is clearly worse than the best, load and all, is not drawn. And where
    nobody is served, there is no crowd to keep apart.
    """

    def __init__(self, random: Random, near: float = 0.9) -> None:
        """Draw with ``random`` among the members whose score is at least ``near`` of the best one, in [0, 1]."""
        self._random = random
        self._near = near

    def pick(self, scored: Sequence[Scored]) -> Candidate:
        """One of ``scored``, of which there is at least one."""
        is_idle = not any(entry.candidate.sessions for entry in scored)
        best = max(entry.score for entry in scored)
        least = best if is_idle else self._near * best
        near = [entry for entry in scored if entry.score >= least]
        drawn = self._random.sample(near, min(2, len(near)))
        return max(drawn, key=lambda entry: entry.score).candidate
