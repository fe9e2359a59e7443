"""How long a session's drafts are: by what its target accepts, and by what steps and drafts cost now."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from random import Random

from draftmesh.coordinator.loop.admission import Admission, AdmissionConfig
from draftmesh.coordinator.loop.rest import Rest, RestConfig, Spent
from draftmesh.coordinator.loop.rounds import Answer
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.ledger import Ledger
from draftmesh.core.ranges import require_positive, require_up_to
from draftmesh.decoding.draft_length import CostCurve, RoundCosts, best_draft_length, speedup, useful_length


@dataclass(frozen=True, slots=True)
class DraftLengthConfig:
    """Numbers of the draft length."""

    is_adaptive: bool = True
    """Whether drafts are as long as pays, and sessions rest that lose by drafting; else they have all tokens that a
    request allows: to study drafting itself."""

    prior_acceptance: float = 0.6
    """Probability that a draft token is accepted if all before it were, of a pair of which nothing is known."""

    prior_tokens: float = 8.0
    """Judged tokens that what is known beforehand counts as much as."""

    forgetting: float = 0.97
    """What all that was judged before counts with each further round, in (0, 1]."""

    smoothing: float = 0.2
    """Weight of the newest round in the mean number of sessions that share a step, in (0, 1]."""

    least_use: float = 0.1
    """A token is drafted while the draft before it is being judged if it will be wanted with this probability, in
    (0, 1]."""

    drafter_tokens: float = 1.25
    """Drafter tokens that are asked for in place of a target token, whose text may have more of them."""

    rest: RestConfig = field(default_factory=RestConfig)
    admission: AdmissionConfig = field(default_factory=AdmissionConfig)

    def validate(self) -> None:
        """Raise :class:`ConfigError`, naming the field, if a value makes no sense."""
        require_positive(self, "prior_tokens", "drafter_tokens")
        require_up_to(1, self, "prior_acceptance", "forgetting", "smoothing", "least_use")
        self.rest.validate()
        self.admission.validate()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a draft length is chosen by, beside what was accepted."""

    verifier: LoadReport
    drafter: LoadReport | None = None
    """None: no drafter is at work."""

    pair: Ledger = field(default_factory=Ledger)
    """The books of that drafter with this target, over all sessions."""


class DraftLength:
    """Of one session."""

    def __init__(self, config: DraftLengthConfig, *, draft_tokens: int, random: Random) -> None:
        """Drafts of ``draft_tokens`` target tokens at most."""
        self._config = config
        self._most = draft_tokens
        self._rest = Rest(config.rest)
        self._admission = Admission(config.admission, random)
        self._accepted = 0.0
        self._judged = 0.0
        self._sequences = 1.0
        self._speedup = math.inf
        self._drafting = Circumstances(LoadReport())
        self.wanted = draft_tokens
        """Tokens of a draft that it pays to wait for."""

        self.ready = draft_tokens
        """Tokens of a draft that it pays to send when they are there: no less than that."""

        self.ahead = 0
        """Drafter tokens beyond a commit that are of use; 0: as many as may be."""

    @property
    def rest_tokens(self) -> int:
        """Tokens that the target is to say alone before the session drafts again; 0: it drafts."""
        return self._rest.left_tokens or self._admission.refused_tokens

    def observe(self, answer: Answer, elapsed_ms: float, circumstances: Circumstances) -> None:
        """Take in a verdict that came so long after the one before, and choose anew."""
        if not self._config.is_adaptive or answer.has_prefill:
            return
        verdict, has_drafter = answer.verdict, circumstances.drafter is not None
        circumstances = self._remembered(circumstances)
        self._sequences += self._config.smoothing * (max(1, verdict.batch_sequences) - self._sequences)
        if answer.judges:
            self._learn(verdict.accepted, answer.judged_tokens)
        spent = Spent(elapsed_ms, len(verdict.tokens), 1 + answer.judged_tokens, verdict.batch_rows)
        costs = CostCurve(circumstances.verifier.costs) if circumstances.verifier.costs else None
        is_refused = not self._rest.left_tokens and self._admission.refused_tokens > 0
        if not is_refused and (self._rest.left_tokens or has_drafter):
            self._rest.observe(spent, costs)
        if costs is not None:
            self._choose(costs, circumstances)
        if circumstances.drafter is not None:
            self._admission.observe(len(verdict.tokens), self._speedup)

    def _remembered(self, circumstances: Circumstances) -> Circumstances:
        """A session that rests has no drafter, but will have one like its last."""
        if circumstances.drafter is not None:
            self._drafting = circumstances
        return replace(self._drafting, verifier=circumstances.verifier)

    def _learn(self, accepted: int, judged: int) -> None:
        """Tokens after a rejected one say nothing: nobody would have accepted them."""
        self._accepted = self._config.forgetting * self._accepted + accepted
        self._judged = self._config.forgetting * self._judged + min(judged, accepted + 1)

    def _choose(self, costs: CostCurve, circumstances: Circumstances) -> None:
        acceptance = self._acceptance(circumstances.pair)
        at_once = RoundCosts(costs, self._sequences)
        waiting = replace(at_once, draft_token_ms=_draft_token_ms(circumstances.drafter))
        self.wanted = best_draft_length(self._most, acceptance, waiting)
        self.ready = max(self.wanted, best_draft_length(self._most, acceptance, at_once))
        useful = max(self.wanted + 1, useful_length(acceptance, self._config.least_use))
        self.ahead = math.ceil(self._config.drafter_tokens * useful) + _UNSTABLE_TOKENS
        self._speedup = self._speedup_of_all(acceptance, waiting, circumstances.verifier)

    def _speedup_of_all(self, acceptance: float, costs: RoundCosts, verifier: LoadReport) -> float:
        """A session that is alone with the target needs no permission: what it loses, it sees."""
        sessions = max(self._sequences, verifier.active_sessions)
        return speedup(self.wanted, acceptance, costs, sessions) if sessions > 1 else math.inf

    def _acceptance(self, pair: Ledger) -> float:
        """Probability of acceptance: this session's, shrunk to the pair's, which is shrunk to the prior."""
        weight = self._config.prior_tokens
        accepted, judged = acceptances(pair)
        known = (weight * self._config.prior_acceptance + accepted) / (weight + judged)
        return (weight * known + self._accepted) / (weight + self._judged)


_UNSTABLE_TOKENS = 2
"""Drafter tokens at a draft's end that may have to be held back until more text follows."""


def acceptances(ledger: Ledger) -> tuple[int, int]:
    """Draft tokens that were accepted, and those that could have been: all before them in their draft were accepted."""
    reached = (ledger.rounds, *ledger.accepted_per_position)
    judged = map(min, ledger.drafted_per_position, reached)
    return ledger.accepted_tokens, sum(judged)


def _draft_token_ms(drafter: LoadReport | None) -> float:
    """A step of the drafter as it is filled now."""
    if drafter is None or not drafter.costs:
        return 0.0
    return CostCurve(drafter.costs).ms(max(1.0, drafter.batch_sequences))
