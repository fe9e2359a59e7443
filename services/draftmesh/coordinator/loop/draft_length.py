"""How long a session's drafts are: by what its target accepts, and by what steps and drafts cost now."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from random import Random

from draftmesh.coordinator.loop.acceptance import Acceptance, AcceptanceConfig
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

    least_use: float = 0.1
    """A token is drafted while the draft before it is being judged if it will be wanted with this probability, in
    (0, 1]. So many times more where sessions share a step: while one waits for its draft, the others go on."""

    drafter_tokens: float = 1.25
    """Drafter tokens that are asked for in place of a target token, whose text may have more of them."""

    acceptance: AcceptanceConfig = field(default_factory=AcceptanceConfig)
    rest: RestConfig = field(default_factory=RestConfig)
    admission: AdmissionConfig = field(default_factory=AdmissionConfig)

    def validate(self) -> None:
        """Raise :class:`ConfigError`, naming the field, if a value makes no sense."""
        require_positive(self, "drafter_tokens")
        require_up_to(1, self, "least_use")
        self.acceptance.validate()
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

    @property
    def sessions(self) -> int:
        """Those that share the target's steps."""
        return max(1, self.verifier.active_sessions)

    @property
    def steps(self) -> CostCurve | None:
        """What the target's steps take; None if it does not say."""
        return CostCurve(self.verifier.costs) if self.verifier.costs else None

    @property
    def draft_token_ms(self) -> float:
        """A step of the drafter as it is filled now; 0 if it does not say."""
        if self.drafter is None or not self.drafter.costs:
            return 0.0
        return CostCurve(self.drafter.costs).ms(max(1.0, self.drafter.batch_sequences))


class DraftLength:
    """Of one session."""

    def __init__(self, config: DraftLengthConfig, *, draft_tokens: int, random: Random) -> None:
        """Drafts of ``draft_tokens`` target tokens at most."""
        self._config = config
        self._most = draft_tokens
        self._acceptance = Acceptance(config.acceptance)
        self._rest = Rest(config.rest)
        self._admission = Admission(config.admission, random)
        self._speedup = math.inf
        self._drafting = Circumstances(LoadReport())  # when a drafter was last at work
        self.wanted = draft_tokens
        """Tokens of a draft that it pays to wait for."""

        self.ready = draft_tokens
        """Tokens of a draft that it pays to send when they are there: no less than that."""

        self.ahead = 0
        """Drafter tokens beyond a commit that are of use; 0: as many as may be."""

        self.runs_on = False
        """Whether the target is to go on alone after a draft until the next one comes."""

    @property
    def rest_tokens(self) -> int:
        """Tokens that the target is to say alone before the session drafts again; 0: it drafts."""
        return self._rest.left_tokens or self._admission.refused_tokens

    def plan(self, circumstances: Circumstances) -> None:
        """Choose a length by what is known now."""
        if self._config.is_adaptive:
            self._choose(circumstances.steps, self._remembered(circumstances))

    def observe(self, answer: Answer, elapsed_ms: float, circumstances: Circumstances) -> None:
        """Take in a verdict that came so long after the one before, and choose anew."""
        if not self._config.is_adaptive:
            return
        steps = circumstances.steps
        if not answer.has_prefill:
            self._learn(answer, elapsed_ms, steps, has_drafter=circumstances.drafter is not None)
        self._choose(steps, self._remembered(circumstances))
        if self._drafting.drafter is not None:
            self._admission.observe(len(answer.verdict.tokens), self._speedup)

    def _learn(self, answer: Answer, elapsed_ms: float, steps: CostCurve | None, *, has_drafter: bool) -> None:
        verdict = answer.verdict
        if answer.judges:
            self._acceptance.learn(verdict.accepted, answer.judged_tokens)
        is_refused = self._admission.refused_tokens > 0
        if self._rest.left_tokens or (has_drafter and not is_refused):
            spent = Spent(elapsed_ms, len(verdict.tokens), 1 + answer.judged_tokens, verdict.batch_rows)
            self._rest.observe(spent, steps)

    def _remembered(self, circumstances: Circumstances) -> Circumstances:
        """A session that rests has no drafter, but will have one like its last."""
        if circumstances.drafter is not None:
            self._drafting = circumstances
        return replace(self._drafting, verifier=circumstances.verifier)

    def _choose(self, steps: CostCurve | None, now: Circumstances) -> None:
        if steps is None:
            return
        acceptance = self._acceptance.estimate(now.pair)
        at_once = RoundCosts(steps, now.sessions)
        waiting = replace(at_once, draft_token_ms=now.draft_token_ms)
        self.wanted = best_draft_length(self._most, acceptance, waiting)
        self.ready = max(self.wanted, best_draft_length(self._most, acceptance, at_once))
        least_use = min(1.0, self._config.least_use * now.sessions)
        useful = max(self.wanted + 1, useful_length(acceptance, least_use))
        self.ahead = math.ceil(self._config.drafter_tokens * useful) + _UNSTABLE_TOKENS
        self.runs_on = now.sessions > 1
        # A session that is alone with the target needs no permission: what it loses, it sees.
        self._speedup = speedup(self.wanted, acceptance, waiting) if self.runs_on else math.inf


_UNSTABLE_TOKENS = 2
"""Drafter tokens at a draft's end that may have to be held back until more text follows."""
