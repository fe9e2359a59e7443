"""The engine on a model that counts: requests, listeners, rollback, errors."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from torch import Tensor

from draftmesh.core.errors import (
    ExhaustedError,
    InternalError,
    InvalidTokenError,
    PromptEmptyError,
    PromptTooLongError,
    StateError,
)
from draftmesh.core.sampling import Method
from draftmesh.engine.judging import Case, Judgement
from draftmesh.engine.stats import StepReport
from tests.helpers.engines import (
    FakeRunDrafter,
    GreedyJudge,
    RecordingListener,
    UndecidedJudge,
    fake_engine,
    new_history,
    open_sequence,
    run_dry,
)


def test_a_request_without_a_draft_gives_one_token() -> None:
    """One extra token always comes."""
    engine, _ = fake_engine()
    seq, listener = open_sequence(engine, [5])
    engine.submit(seq)
    run_dry(engine)
    assert (seq.tokens, listener.judgements) == ([5, 6], [Judgement(0, (6,))])


def test_a_draft_is_judged_in_one_step() -> None:
    """Accepted draft tokens and the recovered one come together."""
    engine, _ = fake_engine()
    seq, listener = open_sequence(engine, [5])
    engine.submit(seq, [6, 7, 9, 10])
    assert run_dry(engine) == 1
    assert listener.judgements == [Judgement(2, (6, 7, 8))]
    assert (seq.tokens, seq.num_computed) == ([5, 6, 7, 8], 3)


def test_a_run_goes_on_one_token_a_step_after_the_draft() -> None:
    """The listener hears after every step."""
    engine, _ = fake_engine()
    seq, listener = open_sequence(engine, [5])
    engine.submit(seq, [6], run=3)
    assert run_dry(engine) == 4
    assert [judgement.tokens for judgement in listener.judgements] == [(6, 7), (8,), (9,), (10,)]
    assert not seq.busy


def test_a_run_ends_when_the_listener_settles_less_than_was_judged() -> None:
    """A stop condition cuts the tokens and ends the request."""
    engine, _ = fake_engine()
    seq, listener = open_sequence(engine, [5], limit=3)
    engine.submit(seq, [6, 7, 8, 9], run=10)
    run_dry(engine)
    assert (seq.tokens, listener.tokens, seq.busy) == ([5, 6, 7, 8], [6, 7, 8], False)
    assert seq.num_computed <= len(seq.tokens)


def test_a_listener_may_interrupt_a_run() -> None:
    """What it heard of stands; nothing more comes."""
    engine, _ = fake_engine()
    seq, listener = open_sequence(engine, [5])
    listener.on_step = lambda: engine.interrupt(seq)
    engine.submit(seq, run=9)
    assert run_dry(engine) == 1
    assert listener.tokens == [6]


def test_a_listener_may_submit_again() -> None:
    """The next request goes out before the next step."""
    engine, _ = fake_engine()
    seq, listener = open_sequence(engine, [5])
    listener.on_step = lambda: engine.submit(seq, [7, 8]) if len(listener.tokens) == 1 else None
    engine.submit(seq)
    assert run_dry(engine) == 2
    assert listener.tokens == [6, 7, 8, 9]


def test_a_listener_may_interrupt_another_sequence() -> None:
    """Of the step that both had, the other one does not hear: it may have begun something else."""
    engine, _ = fake_engine()
    first, first_listener = open_sequence(engine, [5])
    second, second_listener = open_sequence(engine, [15])

    def on_step() -> None:
        if len(first_listener.tokens) == 1:
            engine.interrupt(second)
            engine.rewind(second, 1)
            engine.extend(second, [25])
            engine.submit(second)

    first_listener.on_step = on_step
    engine.submit(first)
    engine.submit(second)
    run_dry(engine)
    assert (first_listener.tokens, second_listener.tokens) == ([6], [26])
    engine.check_integrity()


def test_a_listener_may_close_another_sequence() -> None:
    """A sequence that is closed between commit and its turn hears nothing any more."""
    engine, _ = fake_engine()
    first, first_listener = open_sequence(engine, [5])
    second, second_listener = open_sequence(engine, [15])
    first_listener.on_step = lambda: engine.close(second)
    engine.submit(first)
    engine.submit(second)
    run_dry(engine)
    assert (first_listener.tokens, second_listener.tokens) == ([6], [])


def test_a_step_without_a_draft_judges_what_a_run_drafter_says() -> None:
    """As many steps as were asked for, with more tokens; a draft that was sent is judged alone."""
    engine, runner = fake_engine()
    drafter = FakeRunDrafter(lambda text: text[-1] + 1, good=2)
    seq, listener = open_sequence(engine, [1, 2], run_drafter=drafter)
    engine.submit(seq, [3, 9], run=1)
    assert run_dry(engine) == 2
    assert listener.tokens == [3, 4, 5, 6, 7]
    engine.submit(seq)
    assert run_dry(engine) == 1
    assert (listener.tokens[5:], seq.looked_up) == ([8, 9, 10], 0)
    assert [rows.count for batch in runner.batches for rows in batch] == [4, 4, 4]
    assert [(step.rows, step.looked_up_rows) for step in listener.steps] == [(4, 0), (4, 3), (4, 3)]


def test_a_run_drafter_says_no_more_than_there_is_room_for() -> None:
    """At the end of the context a step has none."""
    engine, _ = fake_engine(context_tokens=8)
    drafter = FakeRunDrafter(lambda text: text[-1] + 1, good=9)
    seq, listener = open_sequence(engine, [1, 2, 3], run_drafter=drafter)
    engine.submit(seq, run=9)
    run_dry(engine)
    assert (listener.tokens, listener.errors) == ([4, 5, 6, 7, 8], [])


def test_nobody_loses_blocks_to_what_is_looked_up() -> None:
    """What rests may be wanted again, and a step has no more rows than its budget."""
    engine, runner = fake_engine(kv_blocks=2, block_size=4, token_budget=6)
    drafter = FakeRunDrafter(lambda text: text[-1] + 1, good=3)
    resting, _ = open_sequence(engine, [50, 51])
    seq, listener = open_sequence(engine, [1, 2], run_drafter=drafter)
    run_dry(engine)
    engine.submit(seq)
    run_dry(engine)
    assert (listener.tokens, resting.num_computed, engine.stats.preemptions) == ([3], 1, 0)
    assert runner.batches[-1][0].count == 1


def test_what_is_looked_up_keeps_within_a_steps_rows() -> None:
    """Everybody has a row first."""
    engine, runner = fake_engine(token_budget=7)
    drafter = FakeRunDrafter(lambda text: text[-1] + 1, good=9)
    seqs = [open_sequence(engine, [start, start + 1], run_drafter=drafter)[0] for start in (10, 20, 30)]
    run_dry(engine)
    for seq in seqs:
        engine.submit(seq)
    run_dry(engine)
    assert [rows.count for rows in runner.batches[-1]] == [2, 2, 2]


def test_a_run_drafter_that_fails_ends_its_own_sequence() -> None:
    """Nobody else is harmed."""
    engine, _ = fake_engine()

    def fail(text: Sequence[int]) -> int:
        if len(text) > 3:
            raise ValueError("no more")
        return text[-1] + 1

    bad, bad_listener = open_sequence(engine, [1, 2], run_drafter=FakeRunDrafter(fail, good=0))
    good, listener = open_sequence(engine, [1, 2])
    engine.submit(bad, [3], run=3)
    engine.submit(good, run=2)
    run_dry(engine)
    assert ([type(error) for error in bad_listener.errors], bad.closed) == ([InternalError], True)
    assert listener.tokens == [3, 4, 5]


def test_many_sequences_share_a_step() -> None:
    """Prompts, drafts and runs of all sequences are one forward."""
    engine, runner = fake_engine(token_budget=64)
    for start in range(5):
        seq, _ = open_sequence(engine, range(10 * start, 10 * start + 3))
        engine.submit(seq, [10 * start + 3])
    assert run_dry(engine) == 1
    assert [rows.count for rows in runner.batches[0]] == [4] * 5


def test_generated_ids_are_a_longer_prompt() -> None:
    """A sequence that moves here goes on where it was, and its history knows the generated part."""
    engine, _ = fake_engine()
    seq, listener = open_sequence(engine, [1, 2], [3, 4])
    assert (seq.generated_length, len(seq.history)) == (2, 2)
    engine.submit(seq)
    run_dry(engine)
    assert listener.tokens == [5]


def test_a_history_that_knows_the_generated_ids_is_left_alone() -> None:
    """Only what a history lacks is appended."""
    engine, _ = fake_engine()
    history = new_history([1], 1000)
    history.append([2, 3])
    engine.open([1], [2, 3, 4], history, RecordingListener(), method=Method.OFF)
    assert len(history) == 3


def test_rewinding_keeps_the_kv_of_what_stays() -> None:
    """Only the tokens behind the cut are computed again."""
    engine, runner = fake_engine()
    seq, _ = open_sequence(engine, [1, 2, 3])
    engine.submit(seq, run=6)
    run_dry(engine)
    engine.rewind(seq, 5)
    engine.extend(seq, [50, 51])
    engine.submit(seq)
    run_dry(engine)
    assert seq.tokens == [1, 2, 3, 4, 5, 50, 51, 52]
    assert runner.batches[-1][0].start == 5
    assert len(seq.history) == 5


def test_a_sequence_rewound_to_its_computed_end_computes_its_newest_row_again() -> None:
    """KV of the newest token is there, but its logits are not."""
    engine, runner = fake_engine()
    seq, listener = open_sequence(engine, [1, 2, 3])
    engine.submit(seq, run=3)
    run_dry(engine)
    engine.rewind(seq, 5)
    engine.submit(seq)
    run_dry(engine)
    assert (runner.batches[-1][0].start, listener.tokens[-1]) == (4, 6)


def test_a_newest_row_in_a_shared_block_is_computed_in_a_block_of_its_own() -> None:
    """Even to write the same KV again, nobody writes what others read."""
    engine, runner = fake_engine(block_size=2)
    first, _ = open_sequence(engine, [1])
    engine.submit(first, run=8)
    run_dry(engine)
    copy, listener = open_sequence(engine, [1], first.tokens[1:])
    run_dry(engine)
    assert copy.block_table[:4] == first.block_table[:4]
    engine.rewind(copy, 6)
    engine.submit(copy)
    run_dry(engine)
    assert (runner.batches[-1][0].start, listener.tokens) == (4, [7])


def test_a_prompt_is_never_rewound() -> None:
    """Its end is the furthest point back."""
    engine, _ = fake_engine()
    seq, _ = open_sequence(engine, [1, 2, 3])
    with pytest.raises(StateError, match="cannot rewind 3 tokens to 2"):
        engine.rewind(seq, 2)


def test_an_interrupted_request_leaves_no_trace() -> None:
    """A draft that was not judged is forgotten."""
    engine, _ = fake_engine()
    seq, listener = open_sequence(engine, [1])
    engine.submit(seq, [7, 7], run=4)
    engine.interrupt(seq)
    assert engine.step() is None
    assert (seq.tokens, listener.judgements) == ([1], [])


def test_a_busy_sequence_takes_no_second_request() -> None:
    """Submit, rewind and extend all need a sequence at rest."""
    engine, _ = fake_engine()
    seq, _ = open_sequence(engine, [1])
    engine.submit(seq)
    with pytest.raises(StateError, match="busy"):
        engine.submit(seq)
    with pytest.raises(StateError, match="busy"):
        engine.rewind(seq, 1)
    with pytest.raises(StateError, match="busy"):
        engine.extend(seq, [2])


def test_a_closed_sequence_takes_no_request() -> None:
    """And closing it again does nothing."""
    engine, _ = fake_engine()
    seq, _ = open_sequence(engine, [1])
    engine.close(seq)
    engine.close(seq)
    with pytest.raises(StateError, match="closed"):
        engine.submit(seq)


def test_an_empty_prompt_is_refused() -> None:
    """There is nothing to predict from."""
    engine, _ = fake_engine()
    with pytest.raises(PromptEmptyError):
        open_sequence(engine, [])


@pytest.mark.parametrize("token", [-1, 1000])
def test_ids_outside_the_vocabulary_are_refused(token: int) -> None:
    """In prompts and extensions alike."""
    engine, _ = fake_engine(vocabulary_size=1000)
    with pytest.raises(InvalidTokenError):
        open_sequence(engine, [1, token])
    seq, _ = open_sequence(engine, [1])
    with pytest.raises(InvalidTokenError):
        engine.extend(seq, [token])


def test_a_draft_token_that_the_model_lacks_is_judged_as_any_other() -> None:
    """The judge sees it and rejects it; the model sees another in its place, and what follows is right all the same."""
    judge = GreedyJudge()
    engine, runner = fake_engine(vocabulary_size=1000, judge=judge)
    seq, listener = open_sequence(engine, [5])
    engine.submit(seq, [6, 1000, 8])
    run_dry(engine)
    assert (judge.seen[0][0].draft, list(runner.batches[0][0].token_ids)) == ((6, 1000, 8), [5, 6, 0, 8])
    engine.submit(seq, run=1)
    run_dry(engine)
    assert listener.tokens == [6, 7, 8, 9]


class Gullible(GreedyJudge):
    """Accepts every draft."""

    def judge(self, logits: Tensor, cases: Sequence[Case]) -> list[Judgement]:
        """All of it."""
        del logits
        return [Judgement(len(case.draft), case.draft) for case in cases]


def test_a_token_that_the_model_lacks_is_never_committed() -> None:
    """A judge that accepts one has a bug, and its sequence fails."""
    engine, _ = fake_engine(vocabulary_size=1000, judge=Gullible())
    seq, listener = open_sequence(engine, [5])
    engine.submit(seq, [1000])
    run_dry(engine)
    assert [type(error) for error in listener.errors] == [InternalError]
    assert seq.tokens == [5]


def test_terms_reach_the_judge_as_they_are() -> None:
    """The engine hands them on with the draft, and not with the steps of the run after it."""
    judge = GreedyJudge()
    engine, _ = fake_engine(judge=judge)
    seq, _ = open_sequence(engine, [5])
    terms = object()
    engine.submit(seq, [6], terms=terms, run=1)
    run_dry(engine)
    assert [case.terms for case, _ in judge.seen] == [terms, None]


@pytest.mark.parametrize("accepted", [0, 1, 4, 5])
@pytest.mark.parametrize("block_size", [1, 2, 4])
def test_a_residual_ends_the_request_after_the_accepted_tokens(accepted: int, block_size: int) -> None:
    """Nothing of the run follows; the recovered token is appended, and the KV of all that stands is kept."""
    engine, runner = fake_engine(block_size=block_size, judge=UndecidedJudge())
    seq, listener = open_sequence(engine, [1, 2, 3])
    draft = [*range(4, 4 + accepted), *[900] * (5 - accepted)]
    engine.submit(seq, draft, run=7)
    assert run_dry(engine) == 1
    assert (listener.tokens, seq.busy, seq.num_computed) == (draft[:accepted], False, 3 + accepted)
    assert len(seq.block_table) == -(-(3 + accepted) // block_size)
    engine.extend(seq, [500])
    engine.submit(seq)
    run_dry(engine)
    assert seq.tokens == [1, 2, 3, *draft[:accepted], 500, 501]
    assert [(rows.start, rows.count) for rows in runner.batches[-1]] == [(3 + accepted, 1)]


def test_a_sequence_that_waits_for_its_residual_may_lose_its_blocks() -> None:
    """Another one takes them meanwhile; the recovered token comes after the right text all the same."""
    engine, _ = fake_engine(kv_blocks=3, block_size=4, judge=UndecidedJudge())
    seq, _ = open_sequence(engine, [1, 2, 3])
    engine.submit(seq, [4, 900])
    run_dry(engine)
    other, listener = open_sequence(engine, [50])
    engine.submit(other, run=9)
    run_dry(engine)
    assert (len(listener.tokens), seq.block_table) == (10, [])
    engine.close(other)
    engine.extend(seq, [500])
    engine.submit(seq)
    run_dry(engine)
    assert seq.tokens == [1, 2, 3, 4, 500, 501]


def test_a_listener_can_tell_the_last_step_of_a_request() -> None:
    """The sequence is busy after every step but the last, whatever ended the request."""
    engine, _ = fake_engine(context_tokens=8)
    seq, listener = open_sequence(engine, [1, 2, 3])
    busy: list[bool] = []
    listener.on_step = lambda: busy.append(seq.busy)
    engine.submit(seq, [4], run=1)
    run_dry(engine)
    engine.submit(seq, run=100)
    run_dry(engine)
    assert busy == [True, False, True, False]


def test_a_prompt_that_leaves_no_room_in_the_context_is_refused() -> None:
    """One more token must fit."""
    engine, _ = fake_engine(context_tokens=8)
    open_sequence(engine, range(7))
    with pytest.raises(PromptTooLongError):
        open_sequence(engine, range(8))


def test_a_sequence_that_can_never_fit_the_pool_is_refused_at_once() -> None:
    """Instead of waiting for ever."""
    engine, _ = fake_engine(kv_blocks=2, block_size=4)
    with pytest.raises(ExhaustedError, match="KV pool"):
        open_sequence(engine, range(8))


def test_one_sequence_too_many_is_refused() -> None:
    """The number of sequences is bounded."""
    engine, _ = fake_engine(max_sequences=1)
    open_sequence(engine, [1])
    with pytest.raises(ExhaustedError, match="all 1 sequences"):
        open_sequence(engine, [1])


def test_a_run_ends_at_the_end_of_the_context() -> None:
    """It is cut to what fits, and then there is no room for a request."""
    engine, _ = fake_engine(context_tokens=8)
    seq, _ = open_sequence(engine, [1, 2, 3])
    engine.submit(seq, run=100)
    run_dry(engine)
    assert len(seq.tokens) == 8
    assert engine.room(seq) < 0
    with pytest.raises(PromptTooLongError):
        engine.submit(seq)


def test_a_run_after_a_rejected_draft_reaches_the_end_of_the_context() -> None:
    """Draft tokens that do not stand take no room from the run that follows them."""
    engine, _ = fake_engine(context_tokens=12)
    seq, listener = open_sequence(engine, [1, 2, 3])
    engine.submit(seq, [900, 901, 902], run=100)
    run_dry(engine)
    assert listener.tokens == list(range(4, 13))


def test_room_is_what_a_draft_may_have() -> None:
    """Neither the context nor the budget is exceeded."""
    engine, _ = fake_engine(context_tokens=8, token_budget=4)
    short, _ = open_sequence(engine, [1])
    long, _ = open_sequence(engine, range(6))
    assert (engine.room(short), engine.room(long)) == (3, 1)
    with pytest.raises(PromptTooLongError, match="room for 3"):
        engine.submit(short, [2, 3, 4, 5])


def test_a_failing_listener_fails_its_own_sequence_alone() -> None:
    """The others of the batch go on, and the failed one's blocks are free."""
    engine, _ = fake_engine()
    bad, bad_listener = open_sequence(engine, [1])
    good, good_listener = open_sequence(engine, [5])

    def explode() -> None:
        raise ValueError("no")

    bad_listener.on_step = explode
    engine.submit(bad, run=2)
    engine.submit(good, run=2)
    run_dry(engine)
    assert good_listener.tokens == [6, 7, 8]
    assert [type(error) for error in bad_listener.errors] == [InternalError]
    assert (bad.closed, bad.block_table) == (True, [])


class Liar(RecordingListener):
    """Settles tokens of its own."""

    def settle(self, judgement: Judgement) -> tuple[int, ...]:
        """Nothing that was judged."""
        return (judgement.tokens[0] + 1,)


def test_only_judged_tokens_can_be_settled() -> None:
    """A listener that settles others has a bug, and fails."""
    engine, _ = fake_engine()
    listener = Liar()
    seq = engine.open([1], [], new_history([1], 1000), listener, method=Method.EXACT)
    engine.submit(seq)
    run_dry(engine)
    assert seq.tokens == [1]
    assert [type(error) for error in listener.errors] == [InternalError]


def test_a_case_that_cannot_be_judged_fails_alone() -> None:
    """The rest of the batch is judged all the same."""
    judge = GreedyJudge(refuses=lambda case: case.method is Method.SLRS)
    engine, _ = fake_engine(judge=judge)
    bad_listener = RecordingListener()
    bad = engine.open([1], [], new_history([1], 1000), bad_listener, method=Method.SLRS)
    good, good_listener = open_sequence(engine, [5])
    engine.submit(good, [6])
    engine.submit(bad, [2])
    run_dry(engine)
    assert good_listener.tokens == [6, 7]
    assert len(bad_listener.errors) == 1
    assert bad.closed


def test_rejected_drafts_leave_no_blocks_behind() -> None:
    """Blocks that only a rejected draft needed are free after the step."""
    engine, _ = fake_engine(kv_blocks=16, block_size=2)
    seq, _ = open_sequence(engine, [1])
    engine.submit(seq, [9] * 7)
    run_dry(engine)
    assert engine.stats.free_blocks == 15


def test_blocks_are_free_after_all_sequences_are_closed() -> None:
    """Cached prefixes count as free."""
    engine, _ = fake_engine()
    for start in (1, 1, 30):
        seq, _ = open_sequence(engine, range(start, start + 9))
        engine.submit(seq, run=3)
    run_dry(engine)
    assert engine.stats.prefix_hit_tokens == 0  # both equal prompts were computed in the same step
    for seq in engine.sequences:
        engine.close(seq)
    assert engine.stats.free_blocks == engine.stats.total_blocks


def test_a_second_equal_prompt_is_not_computed_again() -> None:
    """Its full blocks are found by their content."""
    engine, runner = fake_engine(block_size=4)
    first, _ = open_sequence(engine, range(10))
    engine.submit(first)
    run_dry(engine)
    second, _ = open_sequence(engine, range(10))
    engine.submit(second)
    run_dry(engine)
    assert (runner.batches[-1][0].start, runner.batches[-1][0].count) == (8, 2)
    assert engine.stats.prefix_hit_tokens == 8


def test_preempted_sequences_say_the_same() -> None:
    """More sequences than blocks: everyone ends with the right text."""
    engine, _ = fake_engine(kv_blocks=6, block_size=4, token_budget=16)
    pairs = [open_sequence(engine, [100 * n + k for k in range(6)]) for n in range(4)]
    for seq, _ in pairs:
        engine.submit(seq, run=9)
    run_dry(engine)
    assert [listener.tokens for _, listener in pairs] == [[100 * n + 6 + k for k in range(10)] for n in range(4)]
    assert engine.stats.preemptions > 0


def test_stats_count_steps_rows_and_costs() -> None:
    """A snapshot tells what the coordinator's policies need."""
    clock = iter(range(1000))
    engine, _ = fake_engine()
    engine._clock = lambda: float(next(clock))
    seq, listener = open_sequence(engine, [1, 2, 3])
    engine.submit(seq, [4, 5], run=1)
    run_dry(engine)
    stats = engine.stats
    assert (stats.steps, stats.rows, stats.sequences, stats.waiting) == (2, 6, 1, 0)
    assert [(cost.rows, cost.milliseconds) for cost in stats.costs] == [(1, 3000.0), (5, 3000.0)]
    assert listener.steps == [StepReport(5, 1, 3000.0, 0.0, 1000.0), StepReport(1, 1, 3000.0, 4.0, 1000.0)]
