"""How long a session's drafts are."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from draftmesh.coordinator.loop.acceptance import AcceptanceConfig, acceptances
from draftmesh.coordinator.loop.company import Company
from draftmesh.coordinator.loop.draft_length import Circumstances, DraftLength, DraftLengthConfig
from draftmesh.coordinator.loop.rest import RestConfig
from draftmesh.coordinator.loop.rounds import Answer
from draftmesh.core.endpoint import CostPoint, LoadReport
from draftmesh.core.errors import ConfigError
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import Method
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, Verdict

CHEAP_ROWS = LoadReport(costs=(CostPoint(1, 70.0), CostPoint(8, 85.0), CostPoint(16, 110.0)))
DEAR_ROWS = LoadReport(costs=(CostPoint(1, 70.0), CostPoint(2, 130.0), CostPoint(8, 500.0)))
DRAFTER = LoadReport(costs=(CostPoint(1, 2.0),))
CHEAP = Circumstances(CHEAP_ROWS, DRAFTER)
NEVER_RESTS = DraftLengthConfig(rest=RestConfig(tolerance_steps=1e9, trial_steps=1.0))


def answer(accepted: int, judged: int, *, has_prefill: bool = False) -> Answer:
    """The verdict on a draft."""
    verdict = Verdict(
        1, RoundStatus.DONE, TokenPrefix(), accepted, (1,) * (accepted + 1), batch_sequences=1, batch_rows=9
    )
    return Answer(verdict, judged, judges=True, has_prefill=has_prefill)


RESTING = Answer(Verdict(1, RoundStatus.DONE, TokenPrefix(), 0, (1,), batch_sequences=2, batch_rows=2), 0)
"""A token that the target has said alone, in a step of two sessions."""


def length_after(accepted: int, *, circumstances: Circumstances = CHEAP, rounds: int = 40) -> DraftLength:
    """The policy after some rounds of eight draft tokens, so many of them accepted."""
    length = DraftLength(NEVER_RESTS, Method.EXACT, draft_tokens=16)
    for _ in range(rounds):
        length.observe(answer(accepted, 8), 100.0, circumstances, is_idle=True)
    return length


def test_before_anything_is_known_a_draft_is_as_long_as_it_may_be() -> None:
    """So are all drafts without adaption, whatever becomes of them."""
    assert DraftLength(DraftLengthConfig(), Method.EXACT, draft_tokens=8).plan.wanted == 8
    fixed = DraftLength(DraftLengthConfig(is_adaptive=False), Method.EXACT, draft_tokens=8)
    for _ in range(50):
        fixed.observe(answer(0, 8), 1000.0, CHEAP, is_idle=True)
    assert (fixed.plan.wanted, fixed.plan.ready, fixed.rest_tokens) == (8, 8, 0)


def test_drafts_are_longer_the_more_is_accepted() -> None:
    """And longest when nothing is ever rejected."""
    lengths = [length_after(accepted).plan.wanted for accepted in (0, 1, 3, 8)]
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == 16


def test_what_is_there_is_sent_even_if_it_did_not_pay_to_wait_for_it() -> None:
    """Drafting costs time; a token that has been drafted costs a row."""
    slow = Circumstances(CHEAP_ROWS, LoadReport(costs=(CostPoint(1, 40.0),)))
    length = length_after(2, circumstances=slow)
    assert length.plan.wanted < length.plan.ready


@pytest.mark.parametrize("target", [replace(CHEAP_ROWS, active_sessions=8), DEAR_ROWS])
def test_dear_rows_make_drafts_short(target: LoadReport) -> None:
    """Whether others fill the step or the target itself makes them dear."""
    assert length_after(3, circumstances=Circumstances(target, DRAFTER)).plan.ready < length_after(3).plan.ready


def test_in_company_the_target_runs_on_after_a_draft_if_the_next_one_is_far() -> None:
    """Its steps do not wait for anybody's draft; alone, a session waits, for a step of its own would be in the way."""
    far = replace(CHEAP, answer_ms=200.0)
    crowds = [replace(one, verifier=replace(CHEAP_ROWS, active_sessions=2)) for one in (CHEAP, far)]
    assert [length_after(2, circumstances=one).plan.runs_on for one in (*crowds, far)] == [False, True, False]


def test_what_others_have_seen_of_the_pair_counts_until_the_session_knows_better() -> None:
    """A session begins with the acceptance of its pair."""
    books = Ledger(rounds=500, accepted_tokens=100, accepted_per_position=(100,), drafted_per_position=(500,) * 8)
    bad = Circumstances(CHEAP_ROWS, DRAFTER, books)
    first = length_after(8, circumstances=bad, rounds=1)
    later = length_after(8, circumstances=bad, rounds=40)
    assert first.plan.wanted < length_after(8, rounds=1).plan.wanted
    assert later.plan.wanted > first.plan.wanted


def test_tokens_after_a_rejected_one_are_not_counted() -> None:
    """Nobody would have accepted them, whatever they say."""
    books = Ledger(rounds=10, accepted_tokens=9, accepted_per_position=(6, 3), drafted_per_position=(10, 10, 10))
    assert acceptances(books) == (9, 10 + 6 + 3)


def test_nothing_is_learned_from_the_first_verdict() -> None:
    """Its step has computed the prompt."""
    length, other = (DraftLength(DraftLengthConfig(), Method.EXACT, draft_tokens=8) for _ in range(2))
    length.observe(answer(0, 8, has_prefill=True), 1e6, CHEAP, is_idle=True)
    other.prepare(CHEAP)
    assert (length.plan, length.rest_tokens) == (other.plan, 0)


def test_a_session_plans_by_the_load_it_finds() -> None:
    """Before its first verdict: where others fill the steps, drafts are shorter, and less is drafted ahead."""
    alone, crowded = (DraftLength(DraftLengthConfig(), Method.EXACT, draft_tokens=16) for _ in range(2))
    alone.prepare(CHEAP)
    crowded.prepare(Circumstances(replace(CHEAP_ROWS, active_sessions=16), DRAFTER))
    assert (crowded.plan.ready, crowded.plan.extent.ahead_tokens) < (alone.plan.ready, alone.plan.extent.ahead_tokens)


SURE = replace(CHEAP, pauses_when_unsure=True)


def test_a_drafter_that_knows_how_sure_it_is_pauses_by_itself() -> None:
    """Its drafts may be as long as rows are cheap, whatever is accepted in the mean."""
    length = length_after(2, circumstances=SURE)
    assert (length.plan.wanted, length.plan.ready) == (10, 10)
    free_rows = LoadReport(costs=(CostPoint(1, 70.0), CostPoint(17, 71.0)))
    assert length_after(2, circumstances=replace(SURE, verifier=free_rows)).plan.wanted == 16
    assert 0.0 < length.plan.extent.least_confidence < 0.5
    assert length_after(2).plan.extent.least_confidence == 0.0


def test_a_draft_ends_before_a_row_that_costs_much() -> None:
    """However sure its drafter is; in company the others decide how many rows there are."""
    costs = (*(CostPoint(rows, 70.0) for rows in range(1, 7)), CostPoint(7, 92.0), CostPoint(16, 137.0))
    blocks = LoadReport(costs=costs)
    alone = length_after(2, circumstances=replace(SURE, verifier=blocks))
    assert (alone.plan.wanted, alone.plan.ready) == (5, 5)
    company = length_after(2, circumstances=replace(SURE, verifier=replace(blocks, active_sessions=4)))
    assert company.plan.ready == 16


def test_a_draft_has_to_be_surer_where_rows_are_dear() -> None:
    """Whether others fill the step or the target itself makes them dear."""
    dear = replace(SURE, verifier=DEAR_ROWS)
    least = [length_after(2, circumstances=now).plan.extent.least_confidence for now in (SURE, dear)]
    assert least[0] < least[1]


@pytest.mark.parametrize("method", [Method.TLI, Method.REJECTION])
def test_what_a_draft_says_does_not_decide_whether_it_comes_in_time(method: Method) -> None:
    """Where tokens are judged by ratios, drafts pause by what they say only if the target waits for them."""
    length = DraftLength(NEVER_RESTS, method, draft_tokens=16)
    crowd = replace(SURE, verifier=replace(CHEAP_ROWS, active_sessions=2))
    least = []
    for circumstances, is_idle in ((SURE, True), (SURE, False), (crowd, True)):
        length.observe(answer(2, 8), 100.0, circumstances, is_idle=is_idle)
        least.append(length.plan.extent.least_confidence > 0.0)
    length.prepare(SURE)  # no target has been asked for anything yet: it may be asked to go on alone
    least.append(length.plan.extent.least_confidence > 0.0)
    assert least == [True, False, False, False]


@pytest.mark.parametrize(
    ("method", "is_idle", "is_shaped", "waits_out"),
    [
        (Method.TLI, False, True, True),
        (Method.TLI, True, True, False),
        (Method.TLI, False, False, False),
        (Method.REJECTION, False, True, True),
        (Method.TLI_EXACT, False, True, False),
        (Method.EXACT, False, True, False),
    ],
)
def test_a_draft_that_has_paused_does_not_hurry(
    method: Method, is_idle: bool, is_shaped: bool, waits_out: bool
) -> None:
    """To a target that goes on meanwhile, if tokens are judged by ratios."""
    length = DraftLength(NEVER_RESTS, method, draft_tokens=16)
    assert length.waits_out(is_idle=is_idle, is_shaped=is_shaped) is waits_out


def test_drafts_of_texts_pause_in_company_too() -> None:
    """The target's own draws decide, whatever the draft says and whenever it comes."""
    crowded = DraftLength(NEVER_RESTS, Method.EXACT, draft_tokens=16)
    crowded.prepare(replace(SURE, verifier=replace(CHEAP_ROWS, active_sessions=2)))
    assert crowded.plan.extent.least_confidence > 0.0


@pytest.mark.parametrize("token_ms", [-5.0, float("nan"), float("inf")])
def test_what_a_drafter_cannot_mean_is_not_believed(token_ms: float) -> None:
    """A session outlives a load report that makes no sense."""
    lying = replace(SURE, drafter=LoadReport(costs=(CostPoint(1, token_ms),)))
    assert (
        length_after(2, circumstances=lying).plan
        == length_after(2, circumstances=replace(SURE, drafter=LoadReport())).plan
    )


@pytest.mark.parametrize("circumstances", [CHEAP, SURE])
def test_nothing_is_drafted_ahead_where_the_cores_are_shared(circumstances: Circumstances) -> None:
    """A drafter is asked for one draft, and not for the next one as well."""
    shared = replace(NEVER_RESTS, drafts_ahead=False)
    ahead, shared_ahead, shared_text = (
        DraftLength(config, method, draft_tokens=16)
        for config, method in ((NEVER_RESTS, Method.TLI_EXACT), (shared, Method.TLI_EXACT), (shared, Method.EXACT))
    )
    for length in (ahead, shared_ahead, shared_text):
        length.prepare(circumstances)
    assert shared_ahead.plan.extent.ahead_tokens == shared_ahead.plan.wanted
    assert ahead.plan.extent.ahead_tokens > ahead.plan.wanted
    assert shared_text.plan.extent.ahead_tokens == math.ceil(1.25 * shared_text.plan.wanted)


def test_a_session_without_a_drafter_does_not_rest() -> None:
    """It would draft if it could: that demand is to be seen."""
    length = DraftLength(DraftLengthConfig(), Method.EXACT, draft_tokens=8)
    for _ in range(50):
        length.observe(answer(0, 0), 1000.0, Circumstances(CHEAP_ROWS), is_idle=True)
    assert length.rest_tokens == 0


def test_a_session_rests_with_its_company_and_drafts_again_when_it_has_gone() -> None:
    """It knows so before it has a drafter; what the others see of the steps is known to it too."""
    company = Company(RestConfig())
    crowd = Circumstances(replace(CHEAP_ROWS, active_sessions=2), company=company)
    one, other = (DraftLength(NEVER_RESTS, Method.EXACT, draft_tokens=8) for _ in range(2))
    one.prepare(crowd)
    assert one.rest_tokens == 16
    with company.joined(), company.joined():
        for _ in range(16):  # nobody drafts for either of them
            for length in (one, other):
                length.observe(RESTING, 100.0, crowd, is_idle=True)
    assert (one.rest_tokens, other.rest_tokens) == (1, 0)  # it has not heard of the other's last token yet
    one.prepare(crowd)
    assert one.rest_tokens == 0
    one.prepare(Circumstances(replace(CHEAP_ROWS, active_sessions=3), company=company))
    assert one.rest_tokens == 16
    one.prepare(Circumstances(CHEAP_ROWS, company=company))
    assert one.rest_tokens == 0


def test_what_a_company_loses_is_not_a_session_s_own_loss() -> None:
    """While all rest it is not known what a session's drafts would do."""
    company = Company(RestConfig())
    crowd = Circumstances(replace(CHEAP_ROWS, active_sessions=2), DRAFTER, company=company)
    length = DraftLength(DraftLengthConfig(), Method.EXACT, draft_tokens=8)
    with company.joined():
        for _ in range(15):
            length.observe(RESTING, 1000.0, crowd, is_idle=True)
    assert length.rest_tokens == 1
    length.prepare(CHEAP)
    assert length.rest_tokens == 0


def test_those_who_have_no_drafter_yet_do_not_tell_what_drafting_costs() -> None:
    """Whatever takes them so long."""
    company = Company(RestConfig())
    crowd = Circumstances(replace(CHEAP_ROWS, active_sessions=2), company=company)
    length = DraftLength(NEVER_RESTS, Method.EXACT, draft_tokens=8)
    with company.joined():
        for _ in range(RestConfig().first_tokens):
            length.observe(RESTING, 100.0, crowd, is_idle=True)
        for _ in range(50):
            length.observe(RESTING, 200.0, crowd, is_idle=True)
        assert length.rest_tokens == 0
        for _ in range(10):
            length.observe(RESTING, 200.0, replace(crowd, drafter=DRAFTER), is_idle=True)
        assert length.rest_tokens > 0


@pytest.mark.parametrize("field", ["least_use", "drafter_tokens"])
def test_what_makes_no_sense_is_refused(field: str) -> None:
    """By name."""
    with pytest.raises(ConfigError, match=field):
        DraftLengthConfig(**{field: 0.0}).validate()  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["prior", "prior_tokens", "forgetting"])
def test_an_estimate_that_makes_no_sense_is_refused(field: str) -> None:
    """By name."""
    with pytest.raises(ConfigError, match=field):
        DraftLengthConfig(acceptance=AcceptanceConfig(**{field: 0.0})).validate()


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (DraftLengthConfig(least_use=1.5), "least_use"),
        (AcceptanceConfig(prior=1.5), "prior"),
        (AcceptanceConfig(forgetting=1.5), "forgetting"),
    ],
)
def test_shares_are_one_at_most(config: DraftLengthConfig | AcceptanceConfig, field: str) -> None:
    """More would make drafts of a negative length, or averages that swing."""
    with pytest.raises(ConfigError, match=rf"{field} must be in \(0, 1\]"):
        config.validate()
