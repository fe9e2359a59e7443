"""Rounds of ``slrs``: a rejected draft waits for ψ, and nothing else happens meanwhile."""

from __future__ import annotations

import pytest

from draftmesh.core.errors import ExhaustedError, InvalidRequestError, StateError
from draftmesh.core.evidence import PsiEvidence
from draftmesh.core.sampling import FinishReason, StopConditions
from draftmesh.core.verify import PsiQuery, PsiReply, RoundStatus, Verdict
from tests.helpers.fakes_verifier import EOS, RoundBench, round_bench

STALE, DONE = RoundStatus.STALE, RoundStatus.DONE


def outline(verdicts: list[Verdict]) -> list[tuple[int, RoundStatus, int, int, int, bool]]:
    """Round, status, base length, accepted, number of tokens, final."""
    return [(v.round, v.status, v.base.length, v.accepted, len(v.tokens), v.final) for v in verdicts]


def waiting(right: int = 2, *, failures: int = 0, stop: StopConditions | None = None) -> RoundBench:
    """Round 1 has had its draft rejected after ``right`` tokens, and waits."""
    bench = round_bench(failures=failures, stop=stop)
    bench.send_block(0, bench.draft(0, right, wrong=2))
    bench.engine.run_out()
    return bench


def test_whole_block_gets_a_bonus_token_at_once() -> None:
    """Where nothing is rejected nothing is asked."""
    bench = round_bench()
    bench.send_block(0, bench.draft(0, right=3))
    bench.engine.run_out()
    assert outline(bench.verdicts) == [(1, DONE, 0, 3, 4, True)]
    assert bench.queries == []


@pytest.mark.parametrize("right", [0, 2])
def test_rejected_block_asks_before_it_says_anything(right: int) -> None:
    """The question names the committed tokens, those that were just accepted among them; no verdict comes yet."""
    bench = waiting(right)
    assert bench.queries == [PsiQuery(1, bench.prefix(right), (1,))]
    assert (bench.verdicts, bench.engine.committed) == ([], list(bench.target.path(right)))


@pytest.mark.parametrize("right", [0, 2])
def test_answer_brings_the_recovered_token(right: int) -> None:
    """One verdict has the accepted tokens and the recovered one, with their log probabilities."""
    bench = waiting(right)
    bench.reply()
    assert outline(bench.verdicts) == [(1, DONE, 0, right, right + 1, True)]
    verdict = bench.verdicts[0]
    assert verdict.tokens == bench.target.path(right + 1) == tuple(bench.engine.committed)
    assert tuple(int(-entry.chosen) for entry in verdict.logprobs) == verdict.tokens


def test_missing_proposal_is_a_rejection() -> None:
    """A block that ends in ⊥ asks after its last token, even a block that has no other."""
    bench = round_bench()
    bench.send_block(0, bench.draft(0, right=2), missing_next=True)
    bench.engine.run_out()
    bench.reply()
    bench.send_block(3, (), missing_next=True)
    bench.engine.run_out()
    bench.reply()
    assert outline(bench.verdicts) == [(1, DONE, 0, 2, 3, True), (2, DONE, 3, 0, 1, True)]
    assert [query.prefix for query in bench.queries] == [bench.prefix(2), bench.prefix(3)]


def test_failed_trials_ask_again() -> None:
    """Each question has a number and ids of its own, and the same prefix."""
    bench = waiting(1, failures=2)
    for _ in range(3):
        assert bench.verdicts == []
        bench.reply()
    assert bench.queries == [
        PsiQuery(1, bench.prefix(1), (1, 2, 3)),
        PsiQuery(2, bench.prefix(1), (1, 2)),
        PsiQuery(3, bench.prefix(1), (1,)),
    ]
    assert outline(bench.verdicts) == [(1, DONE, 0, 1, 2, True)]


def test_question_numbers_go_on_in_the_next_round() -> None:
    """No number stands for two questions of a session."""
    bench = waiting(0)
    bench.reply()
    bench.send_block(1, bench.draft(1, right=0, wrong=1))
    bench.engine.run_out()
    assert [query.query_id for query in bench.queries] == [1, 2]


@pytest.mark.parametrize("query_id", [0, 2])
def test_answer_to_no_question_is_an_error(query_id: int) -> None:
    """A number that was never asked can only be a mistake."""
    with pytest.raises(StateError, match=f"query {query_id} was never asked"):
        waiting().rounds.answer_psi(PsiReply(query_id, (0.5,)))


@pytest.mark.parametrize("psi", [(), (0.5, 0.5)])
def test_answer_of_another_length_is_an_error(psi: tuple[float, ...]) -> None:
    """One value is needed for each id."""
    with pytest.raises(InvalidRequestError):
        waiting().rounds.answer_psi(PsiReply(1, psi))


def test_repeated_answer_is_passed_over() -> None:
    """A question that was asked twice may be answered twice; the second answer changes nothing."""
    bench = waiting(1, failures=1)
    bench.reply()
    bench.rounds.answer_psi(PsiReply(1, (0.5, 0.5)))
    bench.reply()
    bench.rounds.answer_psi(PsiReply(2, (0.5,)))
    assert outline(bench.verdicts) == [(1, DONE, 0, 1, 2, True)]
    assert len(bench.queries) == 2


def test_no_round_takes_over_while_a_question_is_open() -> None:
    """Neither a block nor a free run for the committed tokens begins, and the tokens stay as they are."""
    bench = waiting(2)
    bench.send(2, free_run=5)
    bench.send(2, bench.draft(2, right=2))
    assert (bench.verdicts, bench.engine.idle, len(bench.engine.committed)) == ([], True, 2)
    bench.reply()
    bench.engine.run_out()
    assert outline(bench.verdicts)[0] == (1, DONE, 0, 2, 3, True)
    assert [v.round for v in bench.verdicts if v.final] == [1, 3, 2]
    assert tuple(bench.engine.committed) == bench.target.path(7)


def test_rounds_that_wait_for_an_answer_are_bounded() -> None:
    """A peer that never answers cannot pile up rounds."""
    bench = waiting(2)
    for _ in range(4):
        bench.send(2)
    with pytest.raises(ExhaustedError):
        bench.send(2)


def test_round_repeated_while_it_waits_repeats_its_question() -> None:
    """Word for word, and the answer counts once."""
    bench = round_bench()
    request = bench.send_block(0, bench.draft(0, right=1, wrong=1))
    bench.engine.run_out()
    bench.rounds.receive(request, 0.0)
    assert bench.queries[0] == bench.queries[1]
    bench.reply()
    bench.rounds.receive(request, 0.0)
    assert len(bench.queries) == 2
    assert bench.verdicts[0] == bench.verdicts[1]


def test_another_round_that_is_repeated_meanwhile_asks_nothing() -> None:
    """Only its verdict comes again."""
    bench = round_bench()
    first = bench.send_block(0, bench.draft(0, right=1))
    bench.engine.run_out()
    bench.send_block(2, bench.draft(2, right=0, wrong=1))
    bench.engine.run_out()
    bench.rounds.receive(first, 0.0)
    assert len(bench.queries) == 1
    assert bench.verdicts[0] == bench.verdicts[1]


def test_residual_is_dropped_when_the_accepted_tokens_end_the_generation() -> None:
    """After an accepted end token nothing is asked, and nothing follows it."""
    bench = next(b for b in (round_bench(seed=s, says_eos=True) for s in range(100)) if EOS in b.target.path(5)[2:])
    end = bench.target.path(5).index(EOS)
    bench.send_block(0, (*bench.target.path(end + 1), 1), missing_next=True)
    bench.engine.run_out()
    verdict = bench.verdicts[0]
    assert (verdict.tokens, verdict.finish_reason) == (bench.target.path(end + 1), FinishReason.EOS)
    assert (bench.queries, bench.engine.idle) == ([], True)


def test_recovered_token_may_end_the_generation() -> None:
    """The stop conditions look at it as at any other; who asks later is told."""
    letters = bytes(ord("a") + token - 1 for token in round_bench().target.path(3))
    bench = waiting(2, stop=StopConditions(max_tokens=100, stop=(letters[1:],)))
    bench.reply()
    bench.send_block(3, (1,))
    assert [(v.status, len(v.tokens), v.finish_reason, v.text_length) for v in bench.verdicts] == [
        (DONE, 3, FinishReason.STOP, 1),
        (STALE, 0, FinishReason.STOP, 1),
    ]


def test_waiting_is_no_computing() -> None:
    """The time until the answer is in neither of a verdict's timings."""
    bench = waiting(1)
    bench.clock.now_s += 100.0
    bench.reply()
    timings = bench.verdicts[0].timings
    assert (round(timings.queue_ms), round(timings.compute_ms)) == (0, 10)


def test_block_that_lags_is_stale() -> None:
    """Once anything has been committed after its base a block has come too late, right as it may be."""
    bench = round_bench()
    bench.send(0, free_run=9)
    bench.engine.step()
    bench.send_block(0, bench.draft(0, right=5))
    bench.send_block(0, (), missing_next=True)
    assert [(v.round, v.status) for v in bench.verdicts if v.status is STALE] == [(2, STALE), (3, STALE)]


@pytest.mark.parametrize(("tokens", "missing"), [(1, True), (2, False), (3, False)])
def test_block_that_fills_the_room_forgets_what_it_lacks(tokens: int, missing: bool) -> None:
    """With room for three tokens the third is a bonus after two accepted ones, whether or not ⊥ came next."""
    bench = round_bench(stop=StopConditions(max_tokens=3))
    bench.send_block(0, bench.draft(0, right=tokens), missing_next=True)
    evidence = bench.engine.submitted[0].evidence
    assert evidence == PsiEvidence((0.5,) * min(tokens, 2), missing_next=missing)


def test_missing_proposal_for_the_last_token_is_a_bonus() -> None:
    """With room for one token no draft is judged, so none can be missing."""
    bench = round_bench(stop=StopConditions(max_tokens=1))
    bench.send_block(0, (), missing_next=True)
    bench.engine.run_out()
    assert (bench.queries, outline(bench.verdicts)) == ([], [(1, DONE, 0, 0, 1, True)])
