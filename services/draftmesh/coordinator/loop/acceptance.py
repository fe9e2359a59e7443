"""How much of a session's drafts is accepted: by its own rounds, and at first by what is known of its pair."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.acceptance import AcceptanceCounts
from draftmesh.core.ledger import Ledger
from draftmesh.core.ranges import require_positive, require_up_to


@dataclass(frozen=True, slots=True)
class AcceptanceConfig:
    """Numbers of the estimate."""

    prior: float = 0.6
    """Probability that a draft token is accepted if all before it were, of a pair of which nothing is known."""

    prior_tokens: float = 8.0
    """Judged tokens that what is known beforehand counts as much as."""

    forgetting: float = 0.97
    """What all that was judged before counts with each further round, in (0, 1]."""

    def validate(self) -> None:
        """Raise :class:`ConfigError`, naming the field, if a value makes no sense."""
        require_positive(self, "prior_tokens")
        require_up_to(1, self, "prior", "forgetting")


class Acceptance:
    """Of one session."""

    def __init__(self, config: AcceptanceConfig) -> None:
        self._config = config
        self._counts = AcceptanceCounts(config.forgetting)
        self._rounds = 0.0
        self._drafted = 0.0

    def learn(self, accepted: int, judged: int) -> None:
        """Take in a draft."""
        self._counts.learn(accepted, judged)
        self._rounds = self._config.forgetting * self._rounds + 1.0
        self._drafted = self._config.forgetting * self._drafted + judged

    def estimate(self, pair: Ledger) -> float:
        """This session's, shrunk to the pair's, which is shrunk to the prior; in (0, 1)."""
        weight = self._config.prior_tokens
        accepted, judged = acceptances(pair)
        known = (weight * self._config.prior + accepted) / (weight + judged)
        return self._counts.shrunk(known, weight)

    def judged_tokens(self, pair: Ledger) -> float:
        """Mean length of drafts, shrunk as :meth:`estimate` is."""
        rounds = _KNOWN_ROUNDS + pair.rounds
        known = (_KNOWN_ROUNDS * _KNOWN_TOKENS + pair.drafted_tokens) / rounds
        return (_KNOWN_ROUNDS * known + self._drafted) / (_KNOWN_ROUNDS + self._rounds)


_KNOWN_TOKENS = 3.0
_KNOWN_ROUNDS = 4.0
"""What is taken to be known of the length of drafts before there was one, and the rounds that it counts as much as."""


def acceptances(ledger: Ledger) -> tuple[int, int]:
    """Draft tokens that were accepted, and those that could have been: all before them in their draft were accepted."""
    reached = (ledger.rounds, *ledger.accepted_per_position)
    judged = map(min, ledger.drafted_per_position, reached)
    return ledger.accepted_tokens, sum(judged)
