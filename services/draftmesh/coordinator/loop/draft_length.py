"""How long a session's drafts are: by what its target accepts, and by what steps and drafts cost now."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from draftmesh.coordinator.loop.acceptance import Acceptance, AcceptanceConfig
from draftmesh.coordinator.loop.admission import Admission, AdmissionConfig
from draftmesh.coordinator.loop.draft_plan import (
    Ahead,
    DraftPlan,
    Expectations,
    planned_by_acceptance,
    planned_by_confidence,
)
from draftmesh.coordinator.loop.rest import Rest, RestConfig, Spent
from draftmesh.coordinator.loop.rounds import Answer
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.ledger import Ledger
from draftmesh.core.ranges import require_positive, require_up_to
from draftmesh.core.sampling import Method
from draftmesh.decoding.draft_length import CostCurve, RoundCosts


@dataclass(frozen=True, slots=True)
class DraftLengthConfig:
    """Numbers of the draft length."""

    is_adaptive: bool = True
    """Whether drafts are as long as pays, and sessions rest that lose by drafting; else they have all tokens that a
    request allows: to study drafting itself."""

    least_use: float = 0.1
    """A token is drafted while the draft before it is being judged if it will be wanted with this probability, in
    (0, 1]. So many times more where sessions share a step: while one waits for its draft, the others go on."""

    drafts_ahead: bool = True
    """Whether a drafter goes on drafting while its draft is being judged. False where it shares cores with the target:
    what it takes then is missing to the target's step, which costs more than a later draft."""

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

    @property
    def ahead(self) -> Ahead:
        """How much is drafted ahead of a verdict."""
        return Ahead(self.drafter_tokens, self.least_use if self.drafts_ahead else None)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a draft length is chosen by, beside what was accepted."""

    verifier: LoadReport
    drafter: LoadReport | None = None
    """None: no drafter is at work."""

    pair: Ledger = field(default_factory=Ledger)
    """The books of that drafter with this target, over all sessions."""

    pauses_when_unsure: bool = False
    """Whether that drafter heeds the least confidence of a draft."""

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

    def __init__(self, config: DraftLengthConfig, method: Method, *, draft_tokens: int, random: Random) -> None:
        """Drafts of ``draft_tokens`` target tokens at most."""
        self._config = config
        self._most = draft_tokens
        self._acceptance = Acceptance(config.acceptance)
        self._rest = Rest(config.rest)
        self._admission = Admission(config.admission, random)
        self._method = method
        self._drafting = Circumstances(LoadReport())  # when a drafter was last at work
        self.plan = DraftPlan(draft_tokens, draft_tokens)
        """What the next draft is to be."""

    @property
    def rest_tokens(self) -> int:
        """Tokens that the target is to say alone before the session drafts again; 0: it drafts."""
        return self._rest.left_tokens or self._admission.refused_tokens

    def prepare(self, circumstances: Circumstances) -> None:
        """Plan by what is known now."""
        if self._config.is_adaptive:
            self._choose(circumstances.steps, self._remembered(circumstances))

    def observe(self, answer: Answer, elapsed_ms: float, circumstances: Circumstances) -> None:
        """Take in a verdict that came so long after the one before, and plan anew."""
        if not self._config.is_adaptive:
            return
        steps = circumstances.steps
        if not answer.has_prefill:
            self._learn(answer, elapsed_ms, steps, has_drafter=circumstances.drafter is not None)
        self._choose(steps, self._remembered(circumstances))
        if self._drafting.drafter is not None:
            self._admission.observe(len(answer.verdict.tokens), self.plan.speedup)

    def trusts_pauses(self, *, is_idle: bool) -> bool:
        """Whether a draft that pauses may go out; ``is_idle``: the target does nothing until it comes.

        It may have paused because of what it says, and so come sooner than another one. To a target that goes on
        meanwhile it would come in time where the other is too late, and be judged more often; where tokens are judged
        by ratios, that would change the law of the text.
        """
        return is_idle or not self._method.judges_by_ratio or self.plan.extent.least_confidence == 0.0

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
        costs = RoundCosts(steps, now.sessions, now.draft_token_ms)
        known = Expectations(
            self._acceptance.estimate(now.pair), self._acceptance.judged_tokens(now.pair), waiting=costs
        )
        planned = planned_by_confidence if self._heeds_confidence(now) else planned_by_acceptance
        self.plan = planned(self._most, known, self._config.ahead)

    def _heeds_confidence(self, now: Circumstances) -> bool:
        """Not where tokens are judged by ratios and the target goes on while a draft is drawn; see the pauses."""
        return now.pauses_when_unsure and not (self._method.judges_by_ratio and now.sessions > 1)
