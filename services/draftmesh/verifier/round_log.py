"""The rounds a session has seen, so that a repeated one can be answered again and a gap is noticed."""

from __future__ import annotations

from dataclasses import dataclass, field

from draftmesh.core.errors import StateError
from draftmesh.core.verify import Verdict, VerifyRound


@dataclass(slots=True)
class LoggedRound:
    """One round, when it came, and everything that was said to it so far."""

    request: VerifyRound
    arrived_s: float
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        """Whether nothing more follows."""
        return bool(self.verdicts) and self.verdicts[-1].final


class RoundLog:
    """Rounds by number: all unanswered ones and at least the last ``kept_rounds`` answered ones."""

    def __init__(self, kept_rounds: int) -> None:
        self._kept_rounds = kept_rounds
        self._rounds: dict[int, LoggedRound] = {}
        self._next = 1

    def __getitem__(self, number: int) -> LoggedRound:
        return self._rounds[number]

    def find_repeated(self, request: VerifyRound) -> LoggedRound | None:
        """The earlier round of this number, or None if ``request`` is the next new one.

        Raises:
            StateError: the number leaves a gap, is no longer kept, or was used for another request.
        """
        if request.round == self._next:
            return None
        if not 1 <= request.round < self._next:
            raise StateError(f"round {request.round} leaves a gap: the next one is {self._next}")
        known = self._rounds.get(request.round)
        if known is None:
            raise StateError(f"round {request.round} was answered too long ago; only the last few verdicts are kept")
        if known.request != request:
            raise StateError(f"round {request.round} was asked before with another content")
        return known

    def add(self, request: VerifyRound, arrived_s: float) -> None:
        """Enter the next new round."""
        self._rounds[request.round] = LoggedRound(request, arrived_s)
        self._next += 1
        for number in [n for n in self._rounds if n < self._next - self._kept_rounds]:
            if self._rounds[number].answered:
                del self._rounds[number]
