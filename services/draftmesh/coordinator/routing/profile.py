"""The pipeline that turns candidates into a choice; the policies that it runs are pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from draftmesh.coordinator.routing import filters
from draftmesh.coordinator.routing.candidate import Candidate, Wish
from draftmesh.coordinator.routing.pickers import PowerOfTwo, Scored
from draftmesh.coordinator.routing.scorers import AcceptedBytes, FreeCache, FreeSlots, PrefixAffinity, ShortQueue

Filter = Callable[[Candidate, Wish], bool]


class Scorer(Protocol):
    """Rates members."""

    def scores(self, candidates: Sequence[Candidate], wish: Wish) -> list[float]:
        """One score in [0, 1] for each."""


class Picker(Protocol):
    """Takes one."""

    def pick(self, scored: Sequence[Scored]) -> Candidate:
        """One of ``scored``, which is not empty."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A scorer and how much it counts."""

    scorer: Scorer
    weight: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Filters, then weighted scorers, then the picker."""

    filters: tuple[Filter, ...]
    scorers: tuple[Weighted, ...]
    picker: Picker

    def allowed(self, candidates: Sequence[Candidate], wish: Wish) -> list[Candidate]:
        """Those that pass every filter."""
        return [candidate for candidate in candidates if all(keeps(candidate, wish) for keeps in self.filters)]

    def choose(self, candidates: Sequence[Candidate], wish: Wish, failed: frozenset[str]) -> Candidate | None:
        """The member to take; None if none can serve. One in ``failed`` is taken only if there is no other."""
        allowed = self.allowed(candidates, wish)
        allowed = [candidate for candidate in allowed if candidate.digest == wish.preferred_digest] or allowed
        fresh = [candidate for candidate in allowed if candidate.address not in failed] or allowed
        return self.picker.pick(self._score(fresh, wish)) if fresh else None

    def _score(self, candidates: Sequence[Candidate], wish: Wish) -> list[Scored]:
        totals = [0.0] * len(candidates)
        for entry in self.scorers:
            for index, score in enumerate(entry.scorer.scores(candidates, wish)):
                totals[index] += entry.weight * min(1.0, max(0.0, score))
        return [Scored(candidate, total) for candidate, total in zip(candidates, totals, strict=True)]


def verifier_profile(affinity: PrefixAffinity, random: Random) -> Profile:
    """Verifiers: the same target, then prefix affinity against load. A full one says so itself."""
    return Profile(
        filters=(filters.has_target, filters.offers_method, filters.has_room, filters.is_allowed),
        scorers=(
            Weighted(affinity, 2.0),
            Weighted(FreeSlots(), 1.0),
            Weighted(ShortQueue(), 1.0),
            Weighted(FreeCache(), 0.5),
        ),
        picker=PowerOfTwo(random),
    )


def drafter_profile(random: Random) -> Profile:
    """Drafters: what they are worth to sessions of this kind, then free slots."""
    return Profile(
        filters=(
            filters.offers_method,
            filters.has_name,
            filters.has_digest,
            filters.shares_vocabulary,
            filters.has_free_slot,
            filters.is_allowed,
        ),
        scorers=(Weighted(AcceptedBytes(random), 2.0), Weighted(FreeSlots(), 1.0), Weighted(ShortQueue(), 0.5)),
        picker=PowerOfTwo(random),
    )
