"""How long a session's drafts are: by what its target accepts, and by what steps and drafts cost now."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from draftmesh.coordinator.loop.acceptance import Acceptance, AcceptanceConfig
from draftmesh.coordinator.loop.company import Company
from draftmesh.coordinator.loop.draft_plan import (
    Ahead,
    DraftPlan,
    Expectations,
    planned_by_acceptance,
    planned_by_confidence,
)
from draftmesh.coordinator.loop.rest import Rest, RestConfig, Spent
from draftmesh.coordinator.loop.rounds import Answer
from draftmesh.core.draft import MAX_BRANCHES
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.ledger import Ledger
from draftmesh.core.ranges import require_between, require_positive, require_up_to
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
    (0, 1]. So many times more as sessions share the target: they share drafters too."""

    drafts_ahead: bool = True
    """Whether a drafter goes on drafting while its draft is being judged. If not, it draws one draft as long as may be
    wanted, and no more. False where it shares cores with the target: what it takes then is missing to the target's
    step, which costs more than a later draft."""

    branches: int = 6
    """Branches of a draft at most (``exact``): what the drafter draws meanwhile for where the target may part from the
    draft, so that another draft is there at once. None where nothing is drafted ahead; 0: none ever."""

    late_branches: int = 10
    """Branches at most, and branches of branches, where the drafter hears of a verdict too late to draw those of the
    branch that the target has taken before the next verdict. Of the packaged pair, sixteen have a fifth more that the
    target takes, and cost a drafter twice the time, which its drafts then wait for."""

    drafter_tokens: float = 1.25
    """Drafter tokens that are asked for in place of a target token, whose text may have more of them; one where the
    drafter proposes the target's own."""

    acceptance: AcceptanceConfig = field(default_factory=AcceptanceConfig)
    rest: RestConfig = field(default_factory=RestConfig)
    company: RestConfig = field(
        default_factory=lambda: RestConfig(
            tolerance_steps=3.0, least_gain=0.0, most_lost_steps=2.0, refresh_tokens=1024.0
        )
    )
    """Of the rests that all sessions have together which share a target's steps. They tolerate less than one alone:
    luck is evened out among them."""

    def validate(self) -> None:
        """Raise :class:`ConfigError`, naming the field, if a value makes no sense."""
        require_positive(self, "drafter_tokens")
        require_up_to(1, self, "least_use")
        require_between(0, MAX_BRANCHES, self, "branches", "late_branches")
        self.acceptance.validate()
        self.rest.validate()
        self.company.validate()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a draft length is chosen by, beside what was accepted."""

    verifier: LoadReport
    drafter: LoadReport | None = None
    """None: no drafter is at work."""

    pair: Ledger = field(default_factory=Ledger)
    """The books of that drafter with this target, over all sessions."""

    draft_wait_ms: float = 0.0
    """How long a draft that is begun anew is waited for."""

    link_ms: float = 0.0
    """How long the way to the verifier and back takes."""

    answer_ms: float = 0.0
    """How long the drafter takes to go on after a commit; 0: that is not known."""

    pauses_when_unsure: bool = False
    """Whether that drafter heeds the least confidence of a draft."""

    company: Company | None = None
    """Those who share the target's steps; None: of no account."""

    @property
    def sessions(self) -> int:
        """Those that share the target's steps."""
        return max(1, self.verifier.active_sessions)

    @property
    def company_rest_tokens(self) -> int:
        """Tokens that each of the company is to have from the target alone; 0: they draft."""
        return self.company.rest_tokens(self.verifier) if self.company is not None else 0

    @property
    def steps(self) -> CostCurve | None:
        """What the target's steps take; None if it does not say."""
        return CostCurve.of(self.verifier.costs)

    @property
    def draft_token_ms(self) -> float:
        """A step of the drafter as it is filled now; 0 if it does not say, or says what cannot be."""
        if self.drafter is None or not self.drafter.costs:
            return 0.0
        # Branches of these sessions share steps too, but no draft waits for those.
        sequences = min(self.drafter.batch_sequences, float(self.drafter.active_sessions))
        token_ms = CostCurve(self.drafter.costs).ms(max(1.0, sequences))
        return token_ms if 0.0 <= token_ms < math.inf else 0.0


class DraftLength:
    """Of one session."""

    def __init__(self, config: DraftLengthConfig, method: Method, *, draft_tokens: int) -> None:
        """Drafts of ``draft_tokens`` target tokens at most."""
        self._config = config
        self._most = draft_tokens
        self._acceptance = Acceptance(config.acceptance)
        self._rest = Rest(config.rest)
        self._method = method
        self._ahead = Ahead(
            1.0 if method.proposes_ids else config.drafter_tokens,
            config.least_use if config.drafts_ahead else None,
            *((config.branches, config.late_branches) if method is Method.EXACT else ()),
        )
        self._drafting = Circumstances(LoadReport())  # when a drafter was last at work
        self._company_rest_tokens = 0
        self.plan = DraftPlan(draft_tokens, draft_tokens, draft_tokens, draft_tokens)
        """What the next draft is to be."""

    @property
    def rest_tokens(self) -> int:
        """Tokens that the target is to say alone before the session drafts again; 0: it drafts."""
        return max(self._rest.left_tokens, self._company_rest_tokens)

    def prepare(self, circumstances: Circumstances) -> None:
        """Plan by what is known now."""
        if self._config.is_adaptive:
            self._company_rest_tokens = circumstances.company_rest_tokens
            self._choose(circumstances.steps, self._remembered(circumstances), is_idle=False)

    def observe(self, answer: Answer, elapsed_ms: float, circumstances: Circumstances, *, is_idle: bool) -> None:
        """Take in a verdict that came so long after the one before, and plan anew.

        Args:
            answer: The verdict.
            elapsed_ms: Since the one before.
            circumstances: As they are now.
            is_idle: The target has nothing to do until it is asked again.
        """
        if not self._config.is_adaptive:
            return
        if not answer.has_prefill:
            self._learn(answer, elapsed_ms, circumstances)
        self._company_rest_tokens = circumstances.company_rest_tokens
        self._choose(circumstances.steps, self._remembered(circumstances), is_idle=is_idle)

    @property
    def may_meet_run(self) -> bool:
        """Whether a draft that comes while the target goes on alone need not wait; see :meth:`waits_out`."""
        return not self._method.judges_by_ratio

    def waits_out(self, *, is_idle: bool, is_shaped: bool) -> bool:
        """Whether a draft goes out when the wait for it is over, and not as soon as it is there.

        If it may have paused because of what it says, that also decides when it is there. To a target that goes on
        meanwhile it would come in time where another one is too late, or the other way round; where tokens are judged
        by ratios, that would change the law of the text.

        Args:
            is_idle: The target does nothing until the draft comes.
            is_shaped: The draft may have paused because of what it says.
        """
        return self._method.judges_by_ratio and is_shaped and not is_idle

    def _learn(self, answer: Answer, elapsed_ms: float, now: Circumstances) -> None:
        verdict = answer.verdict
        if answer.judges:
            self._acceptance.learn(verdict.accepted, answer.judged_tokens)
        company_rests, drafts = now.company_rest_tokens > 0, now.drafter is not None
        if self._rest.left_tokens or (drafts and not company_rests):
            self._rest.observe(Spent(elapsed_ms, len(verdict.tokens), answer.rows_without_draft), now.steps)
        if now.company is not None and (company_rests or drafts):
            now.company.observe(elapsed_ms, verdict, now.verifier, draft_tokens=self._most)

    def _remembered(self, circumstances: Circumstances) -> Circumstances:
        """A session that rests has no drafter, but will have one like its last."""
        if circumstances.drafter is not None:
            self._drafting = circumstances
        return replace(self._drafting, verifier=circumstances.verifier, link_ms=circumstances.link_ms)

    def _choose(self, steps: CostCurve | None, now: Circumstances, *, is_idle: bool) -> None:
        if steps is None:
            return
        costs = RoundCosts(steps, now.sessions, now.draft_token_ms, now.answer_ms)
        known = Expectations(
            self._acceptance.estimate(now.pair),
            self._acceptance.judged_tokens(now.pair),
            waiting=costs,
            draft_wait_ms=now.draft_wait_ms,
            link_ms=now.link_ms,
        )
        planned = planned_by_confidence if self._heeds_confidence(now, is_idle=is_idle) else planned_by_acceptance
        self.plan = planned(self._most, known, self._ahead)

    def _heeds_confidence(self, now: Circumstances, *, is_idle: bool) -> bool:
        """Where tokens are judged by ratios, only if the target waits for the draft; see :meth:`waits_out`."""
        is_waited_for = is_idle and now.sessions == 1
        return now.pauses_when_unsure and (is_waited_for or not self._method.judges_by_ratio)
