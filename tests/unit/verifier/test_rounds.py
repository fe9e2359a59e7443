"""The rules of a session's rounds, on a fake engine that steps when told."""

from __future__ import annotations

import pytest

from draftmesh.core.errors import BaseBeyondSequenceError, ExhaustedError, StateError
from draftmesh.core.evidence import ProposalEvidence, SparseDistribution
from draftmesh.core.sampling import FinishReason, StopConditions
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, Verdict, VerifyRound
from tests.helpers.fakes_verifier import EOS, RoundBench, round_bench

STALE, DONE = RoundStatus.STALE, RoundStatus.DONE


def said(verdicts: list[Verdict]) -> tuple[int, ...]:
    """All tokens of some verdicts."""
    return tuple(token for verdict in verdicts for token in verdict.tokens)


def outline(verdicts: list[Verdict]) -> list[tuple[int, RoundStatus, int, int, int, bool]]:
    """Round, status, base length, accepted, number of tokens, final."""
    return [(v.round, v.status, v.base.length, v.accepted, len(v.tokens), v.final) for v in verdicts]


def free_running(bench: RoundBench, tokens: int, free_run: int = 50) -> None:
    """Round 1 decodes freely and has committed so many tokens."""
    bench.send(0, free_run=free_run)
    for _ in range(tokens):
        bench.engine.step()
    bench.take()


def test_right_draft_gives_bonus_token() -> None:
    """A draft that the target agrees with is accepted whole, and one more token comes with it."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=4))
    bench.engine.run_out()
    assert outline(bench.verdicts) == [(1, DONE, 0, 4, 5, True)]
    assert bench.verdicts[0].tokens == bench.target.path(5)


def test_wrong_draft_token_is_recovered() -> None:
    """From the first wrong draft token on the draft is dropped, and the target's own token takes its place."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=2, wrong=2))
    bench.engine.run_out()
    assert outline(bench.verdicts) == [(1, DONE, 0, 2, 3, True)]
    assert bench.verdicts[0].tokens == bench.target.path(3)


def test_empty_round_gives_one_token() -> None:
    """A round that asks for nothing gets the one token that judging an empty draft gives."""
    bench = round_bench()
    bench.send(0)
    bench.engine.run_out()
    assert outline(bench.verdicts) == [(1, DONE, 0, 0, 1, True)]


def test_free_run_counts_its_tokens() -> None:
    """A round without a draft gets as many tokens as it asks for."""
    bench = round_bench(step_ms=100.0)
    bench.send(0, free_run=3)
    bench.engine.run_out()
    assert outline(bench.verdicts) == [
        (1, DONE, 0, 0, 1, False),
        (1, DONE, 1, 0, 1, False),
        (1, DONE, 2, 0, 1, True),
    ]


def test_draft_then_free_run() -> None:
    """A round with both judges the draft, says so at once, and then decodes on."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=2, wrong=1), free_run=4)
    bench.engine.step()
    assert outline(bench.verdicts) == [(1, DONE, 0, 2, 3, False)]
    bench.engine.run_out()
    assert outline(bench.verdicts)[1:] == [(1, DONE, 3, 0, 4, True)]


def test_free_run_gathers_tokens_until_the_interval_is_over() -> None:
    """Three steps of 1/64 s share a verdict when it is due every 50 ms; the first token goes out alone."""
    bench = round_bench(step_ms=15.625)
    bench.send(0, free_run=9)
    bench.engine.run_out()
    assert [len(v.tokens) for v in bench.verdicts] == [1, 3, 3, 2]


def test_round_ahead_runs_when_its_base_comes_true() -> None:
    """A round sent before its predecessor's verdict waits, and runs once the tokens that it assumed are committed."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=3))
    bench.send(4, bench.draft(4, right=2))
    bench.engine.run_out()
    assert outline(bench.verdicts) == [(1, DONE, 0, 3, 4, True), (2, DONE, 4, 2, 3, True)]


def test_round_ahead_is_stale_when_the_predecessor_falls_short() -> None:
    """A round whose assumed tokens were not accepted is answered stale, with the state that there is."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=1, wrong=2))
    bench.send(4, bench.draft(4, right=2))
    bench.engine.run_out()
    assert outline(bench.verdicts) == [(1, DONE, 0, 1, 2, True), (2, STALE, 2, 0, 0, True)]
    assert bench.verdicts[1].base == bench.prefix(2)
    assert len(bench.engine.submitted) == 1


def test_round_with_another_bonus_token_is_stale() -> None:
    """Equal length is not enough: the hash of the base must match too."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=3))
    bench.send(bench.prefix(3).extend((99,)), (1, 2))
    bench.engine.run_out()
    assert outline(bench.verdicts)[1:] == [(2, STALE, 4, 0, 0, True)]


def test_draft_that_guessed_the_bonus_token_keeps_its_rest() -> None:
    """A draft that starts at its predecessor's bonus token loses that token and is judged from there on."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=3))
    bench.send(3, bench.draft(3, right=3))
    bench.engine.run_out()
    assert outline(bench.verdicts) == [(1, DONE, 0, 3, 4, True), (2, DONE, 4, 2, 3, True)]


def test_late_round_of_a_lost_race_is_stale_not_an_error() -> None:
    """A base that an earlier round could have led to is no mistake, even when that round has long been answered."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=1, wrong=3))
    bench.engine.run_out()
    bench.send(5, bench.draft(5, right=1))
    assert outline(bench.verdicts)[1:] == [(2, STALE, 2, 0, 0, True)]


def test_base_that_no_round_leads_to_is_an_error() -> None:
    """A base beyond everything that was asked for can only be a mistake."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=3))
    with pytest.raises(BaseBeyondSequenceError, match="leads beyond 4"):
        bench.send(5)


def test_short_round_does_not_forbid_what_a_longer_one_allowed() -> None:
    """What an earlier round could lead to stays allowed after a round that leads less far."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=1, wrong=3))
    bench.send(0)
    bench.send(5, bench.draft(5, right=1))
    bench.engine.run_out()
    assert outline(bench.verdicts)[-1] == (3, STALE, 2, 0, 0, True)


def test_matching_round_takes_over_a_free_run() -> None:
    """At a token boundary a round on the committed state ends the free run, whose final verdict comes first."""
    bench = round_bench()
    free_running(bench, tokens=3)
    bench.send(3, bench.draft(3, right=2))
    assert outline(bench.verdicts) == [(1, DONE, 1, 0, 2, True)]
    bench.engine.run_out()
    assert outline(bench.verdicts)[1:] == [(2, DONE, 3, 2, 3, True)]


def test_free_run_without_new_tokens_ends_with_an_empty_verdict() -> None:
    """Even with nothing left to say, a free run that gives way says that it is over."""
    bench = round_bench()
    free_running(bench, tokens=1)
    bench.send(1, bench.draft(1, right=1))
    assert outline(bench.verdicts) == [(1, DONE, 1, 0, 0, True)]


def test_rest_of_a_draft_that_the_free_run_has_begun_runs() -> None:
    """Draft tokens that the free run has committed meanwhile are skipped, and the verdict says where it began."""
    bench = round_bench()
    free_running(bench, tokens=5)
    bench.send(3, bench.draft(3, right=4))
    bench.engine.run_out()
    assert outline(bench.verdicts)[1:] == [(2, DONE, 5, 2, 3, True)]
    assert bench.engine.submitted[-1].draft == bench.target.path(7)[5:]


def test_evidence_is_cut_with_its_draft() -> None:
    """The proposal distributions of skipped draft tokens are skipped too."""
    bench = round_bench()
    free_running(bench, tokens=2)
    positions = tuple(SparseDistribution((token,), (1.0,)) for token in bench.target.path(3))
    request = VerifyRound(2, bench.prefix(0), bench.target.path(3), ProposalEvidence(positions))
    bench.rounds.receive(request, 0.0)
    assert bench.engine.submitted[-1].evidence == ProposalEvidence(positions[2:])


@pytest.mark.parametrize("right", [1, 2])
def test_draft_that_is_committed_already_is_stale(right: int) -> None:
    """A draft with no token left is stale, and does not stop the free run that it met."""
    bench = round_bench()
    free_running(bench, tokens=5)
    bench.send(3, bench.draft(3, right=right))
    assert outline(bench.verdicts) == [(2, STALE, 5, 0, 0, True)]
    assert not bench.engine.idle


def test_stale_round_does_not_stop_a_free_run() -> None:
    """The free run that a stale round met goes on to the number of tokens that it was asked for."""
    bench = round_bench()
    free_running(bench, tokens=5, free_run=9)
    bench.send(3, bench.draft(3, right=0, wrong=4))
    bench.engine.run_out()
    assert outline(bench.take()) == [(2, STALE, 5, 0, 0, True), (1, DONE, 5, 0, 4, True)]


def test_round_without_draft_replaces_a_free_run() -> None:
    """A lagging round without a draft asks for tokens counted from its base: those that are there are taken off."""
    bench = round_bench()
    free_running(bench, tokens=5, free_run=9)
    bench.send(3, free_run=10)
    bench.engine.run_out()
    assert [v.round for v in bench.verdicts if v.final] == [1, 2]
    assert len(bench.engine.committed) == 13


def test_round_without_draft_that_asks_for_what_is_there_is_stale() -> None:
    """A lagging round without a draft whose tokens are all committed has nothing to do."""
    bench = round_bench()
    free_running(bench, tokens=5, free_run=9)
    bench.send(3, free_run=2)
    assert outline(bench.verdicts) == [(2, STALE, 5, 0, 0, True)]


def test_round_ahead_of_a_free_run_waits_for_it() -> None:
    """A round that guessed what the free run will say takes over when the free run has said it."""
    bench = round_bench()
    free_running(bench, tokens=2)
    bench.send(5, bench.draft(5, right=2))
    bench.engine.run_out()
    assert outline(bench.verdicts)[-2:] == [(1, DONE, 1, 0, 4, True), (2, DONE, 5, 2, 3, True)]


def test_later_round_overtakes_one_that_waits() -> None:
    """A round that fits need not wait for an earlier one whose base is still ahead."""
    bench = round_bench()
    free_running(bench, tokens=2)
    bench.send(6, bench.draft(6, right=1))
    bench.send(2, bench.draft(2, right=1))
    bench.engine.run_out()
    assert [(v.round, v.status) for v in bench.take() if v.final] == [(1, DONE), (3, DONE), (2, STALE)]


def test_no_round_interrupts_a_judgement() -> None:
    """A round that fits the present state waits while another one's draft is being judged."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=2))
    bench.send(0, bench.draft(0, right=4))
    bench.engine.run_out()
    assert outline(bench.verdicts) == [(1, DONE, 0, 2, 3, True), (2, DONE, 3, 1, 2, True)]


def test_repeated_round_returns_its_stored_verdicts() -> None:
    """A round asked again is answered again, word for word, and computes nothing."""
    bench = round_bench(step_ms=100.0)
    request = bench.send(0, bench.draft(0, right=2), free_run=2)
    bench.engine.run_out()
    first = bench.take()
    bench.rounds.receive(request, 0.0)
    assert bench.take() == first
    assert bench.engine.idle


def test_repeated_round_that_runs_gets_what_was_said_so_far() -> None:
    """A round asked again while it runs hears the beginning again; the rest follows once."""
    bench = round_bench(step_ms=100.0)
    request = bench.send(0, free_run=3)
    bench.engine.step()
    bench.rounds.receive(request, 0.0)
    bench.engine.run_out()
    assert [v.base.length for v in bench.verdicts] == [0, 0, 1, 2]


def test_gap_in_the_round_numbers_is_an_error() -> None:
    """A round number that was skipped means a lost message."""
    with pytest.raises(StateError, match="the next one is 1"):
        round_bench().rounds.receive(VerifyRound(2, TokenPrefix()), 0.0)


def test_round_zero_is_an_error() -> None:
    """Rounds count from 1."""
    with pytest.raises(StateError, match="round 0"):
        round_bench().rounds.receive(VerifyRound(0, TokenPrefix()), 0.0)


def test_repeated_round_with_another_content_is_an_error() -> None:
    """A round number stands for one request for ever."""
    bench = round_bench()
    bench.send(0, (1,))
    with pytest.raises(StateError, match="another content"):
        bench.rounds.receive(VerifyRound(1, TokenPrefix(), (2,)), 0.0)


def test_round_that_is_no_longer_kept_is_an_error() -> None:
    """Only the verdicts of the last few rounds can be asked for again."""
    bench = round_bench()
    first = bench.send(0)
    for base in range(1, 5):
        bench.engine.run_out()
        bench.send(base)
    with pytest.raises(StateError, match="too long ago"):
        bench.rounds.receive(first, 0.0)


def test_too_many_waiting_rounds_are_an_error() -> None:
    """A peer cannot pile up rounds without end."""
    bench = round_bench()
    bench.send(0, bench.draft(0, right=4))
    for _ in range(4):
        bench.send(0, bench.draft(0, right=4))
    with pytest.raises(ExhaustedError):
        bench.send(0)


def test_end_token_in_a_draft_ends_the_generation() -> None:
    """An accepted end token is the last one: no bonus token follows it."""
    bench = next(b for b in (round_bench(seed=s, says_eos=True) for s in range(100)) if EOS in b.target.path(6)[2:])
    end = bench.target.path(6).index(EOS)
    bench.send(0, bench.draft(0, right=6))
    bench.engine.run_out()
    verdict = bench.verdicts[0]
    assert verdict.tokens == bench.target.path(end + 1)
    assert (verdict.accepted, verdict.finish_reason, verdict.text_length) == (end + 1, FinishReason.EOS, end)


def test_max_tokens_cuts_inside_a_block() -> None:
    """A block that goes beyond max_tokens is cut there; its last token is the one that follows the judged draft."""
    bench = round_bench(stop=StopConditions(max_tokens=3))
    bench.send(0, bench.draft(0, right=6))
    bench.engine.run_out()
    verdict = bench.verdicts[0]
    assert (verdict.accepted, len(verdict.tokens), verdict.finish_reason) == (2, 3, FinishReason.LENGTH)
    assert len(bench.engine.submitted[0].draft) == 2


def test_free_run_ends_at_max_tokens() -> None:
    """A free run asks the engine for no more tokens than may still be generated."""
    bench = round_bench(stop=StopConditions(max_tokens=5))
    bench.send(0, bench.draft(0, right=2), free_run=100)
    bench.engine.run_out()
    assert (bench.engine.submitted[0].run, len(bench.engine.committed)) == (4, 5)
    assert bench.verdicts[-1].finish_reason is FinishReason.LENGTH


def test_stop_string_ends_a_free_run() -> None:
    """The free run stops at the token that completes a stop string, and the text ends before the string."""
    text = bytes(ord("a") + token - 1 for token in round_bench().target.path(12))
    stop = text[5:8]
    bench = round_bench(stop=StopConditions(max_tokens=100, stop=(stop,)))
    bench.send(0, free_run=50)
    bench.engine.run_out()
    last = bench.verdicts[-1]
    assert (last.final, last.finish_reason, last.text_length) == (True, FinishReason.STOP, text.index(stop))
    assert len(bench.engine.committed) == text.index(stop) + 3
    assert bench.engine.idle


def test_rounds_after_the_end_are_stale_and_say_why() -> None:
    """Whoever asks after the end is told how it ended."""
    bench = round_bench(stop=StopConditions(max_tokens=3))
    bench.send(0, bench.draft(0, right=2))
    bench.send(3, bench.draft(3, right=2))
    bench.engine.run_out()
    bench.send(3)
    late = bench.verdicts[1:]
    assert outline(late) == [(2, STALE, 3, 0, 0, True), (3, STALE, 3, 0, 0, True)]
    assert [(v.finish_reason, v.text_length) for v in late] == [(FinishReason.LENGTH, 3)] * 2


def test_session_goes_on_from_committed_tokens() -> None:
    """Committed tokens of an opened session count as its state, and are not drawn again."""
    path = round_bench().target.path(4)
    bench = round_bench(committed=path)
    bench.send(4, bench.draft(4, right=1))
    bench.engine.run_out()
    assert outline(bench.verdicts) == [(1, DONE, 4, 1, 2, True)]


def test_a_free_run_says_what_it_has_looked_up() -> None:
    """None of it is of a draft; its rows are not counted, and its steps are."""
    bench = round_bench(looked_up=3)
    bench.send(0, bench.draft(0, right=2, wrong=1), free_run=2)
    bench.engine.run_out()
    assert said(bench.verdicts) == bench.target.path(3 + 4 + 4)
    assert [(v.accepted, len(v.tokens), v.steps, v.batch_rows) for v in bench.verdicts] == [(2, 3, 1, 4), (0, 8, 2, 1)]
    bench.take()
    bench.send(11, free_run=3)
    bench.engine.run_out()
    assert [(v.accepted, len(v.tokens)) for v in bench.verdicts] == [(0, 4), (0, 8)]


def test_a_draft_meets_a_run_that_looks_up() -> None:
    """It loses what the run has said, however much that is in one step."""
    bench = round_bench(looked_up=3)
    free_running(bench, 2)
    length = len(bench.engine.committed)
    bench.send(length - 3, bench.draft(length - 3, right=7))
    bench.engine.step()
    assert outline(bench.verdicts)[1:] == [(2, DONE, length, 4, 5, True)]
    assert bench.verdicts[1].tokens == bench.target.path(length + 5)[length:]


def test_each_committed_token_has_its_logprobs() -> None:
    """Log probabilities are cut with the tokens."""
    bench = round_bench(stop=StopConditions(max_tokens=3))
    bench.send(0, bench.draft(0, right=6))
    bench.engine.run_out()
    assert tuple(int(-p.chosen) for p in bench.verdicts[0].logprobs) == bench.verdicts[0].tokens


def test_timings_tell_waiting_from_computing() -> None:
    """A round behind another waits in the queue while that one is computed."""
    bench = round_bench(step_ms=10.0)
    bench.send(0, bench.draft(0, right=3))
    bench.send(4, bench.draft(4, right=2))
    bench.engine.run_out()
    assert [round(v.timings.queue_ms) for v in bench.verdicts] == [0, 10]
    assert [round(v.timings.compute_ms) for v in bench.verdicts] == [10, 10]
    assert [v.batch_rows for v in bench.verdicts] == [4, 3]


def test_compute_time_of_a_free_run_adds_up_over_its_verdicts() -> None:
    """Each verdict counts the steps since the one before."""
    bench = round_bench(step_ms=10.0)
    bench.send(0, free_run=9)
    bench.engine.run_out()
    assert round(sum(v.timings.compute_ms for v in bench.verdicts)) == 90
    assert said(bench.verdicts) == bench.target.path(9)
