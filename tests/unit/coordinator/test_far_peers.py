"""How far the others are."""

from __future__ import annotations

import pytest

from draftmesh.coordinator.drafting.answering import AnswerTimes
from draftmesh.coordinator.loop.link import Link
from draftmesh.core.moving_average import MovingAverage
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, RoundTimings, Verdict
from tests.helpers.clocks import HandClock


@pytest.fixture
def clock() -> HandClock:
    """Moved by hand."""
    return HandClock()


def verdict(number: int, *, queue_ms: float = 0.0, compute_ms: float = 0.0, tokens: tuple[int, ...] = (1,)) -> Verdict:
    """What a verifier says that needed so long."""
    status = RoundStatus.DONE if tokens else RoundStatus.STALE
    return Verdict(number, status, TokenPrefix(), 0, tokens, timings=RoundTimings(queue_ms, compute_ms))


def test_a_link_takes_what_the_verifier_does_not_need(clock: HandClock) -> None:
    """Neither waiting for a step's end nor the step is on the way."""
    link = Link(clock, MovingAverage(0.25))
    link.asked(1)
    clock.now_s += 0.1
    link.heard(verdict(1, queue_ms=10, compute_ms=60))
    assert link.ms == pytest.approx(30)


def test_a_round_that_waits_for_another_one_does_not_measure_the_link(clock: HandClock) -> None:
    """One at a time, the first that was asked; one that is refused tells nothing."""
    link = Link(clock, MovingAverage(0.25))
    link.asked(1)
    link.asked(2)
    clock.now_s += 0.02
    link.heard(verdict(1))
    clock.now_s += 10.0
    link.heard(verdict(2))
    assert link.ms == pytest.approx(20)
    link.asked(3)
    clock.now_s += 1.0
    link.heard(verdict(2))
    link.heard(verdict(3, tokens=()))
    assert link.ms == pytest.approx(20)


def test_a_refusal_that_overtakes_the_verdict_says_nothing(clock: HandClock) -> None:
    """A draft that runs on is answered after the rounds that it has passed."""
    link = Link(clock, MovingAverage(0.25))
    link.asked(1)
    clock.now_s += 0.1
    link.heard(verdict(2, tokens=()))
    link.heard(verdict(1, compute_ms=60))
    assert link.ms == pytest.approx(40)


def asked(answers: AnswerTimes, clock: HandClock, *commits: int, parts: bool = False) -> None:
    """So many commits are told, a millisecond after they were settled."""
    for commit in commits:
        answers.settled(parts=parts)
        clock.now_s += 0.001
        answers.told(commit)


def answered(clock: HandClock) -> AnswerTimes:
    """Of a drafter that has taken 100 ms for its first commit."""
    answers = AnswerTimes(clock)
    asked(answers, clock, 1)
    clock.now_s += 0.099
    answers.heard(1)
    return answers


def test_a_drafter_answers_when_it_knows_the_commit(clock: HandClock) -> None:
    """From when the text was committed. A commit that is passed over is not waited for."""
    answers = AnswerTimes(clock)
    asked(answers, clock, 1, 2)
    clock.now_s += 0.018
    answers.heard(0)
    assert answers.ms == 0
    answers.heard(2)
    assert answers.ms == pytest.approx(19)
    assert answers.due_ms == 0


def test_more_is_due_when_the_oldest_commit_is_answered(clock: HandClock) -> None:
    """What has been drawn after it may still be right, whether it has been told yet or not; if overdue, it is near."""
    answers = answered(clock)
    answers.settled(parts=False)
    clock.now_s += 0.03
    before_ms = answers.due_ms
    answers.told(2)
    clock.now_s += 0.03
    answers.settled(parts=False)
    assert (before_ms, answers.due_ms) == pytest.approx((70, 40))
    clock.now_s += 1.0
    assert answers.due_ms == 0


def test_after_a_parting_nothing_is_due_but_what_follows_it(clock: HandClock) -> None:
    """The draft that is still on its way is none any more."""
    answers = answered(clock)
    asked(answers, clock, 2)
    clock.now_s += 0.05
    answers.settled(parts=True)
    assert answers.due_ms == pytest.approx(100)
    answers.told(3)
    answers.heard(2)
    assert answers.due_ms == pytest.approx(100)


def test_more_is_due_at_once_while_blocks_follow_each_other(clock: HandClock) -> None:
    """When they stop, the next one follows what the drafter hears next."""
    answers = answered(clock)
    asked(answers, clock, 2)
    answers.used()
    assert answers.due_ms == 0
    clock.now_s += 0.02
    assert answers.due_ms == pytest.approx(79)


def test_the_first_answer_of_a_stream_is_not_measured(clock: HandClock) -> None:
    """A drafter may have a prompt to compute."""
    answers = AnswerTimes(clock)
    answers.settled(parts=False)
    answers.restart(MovingAverage(0.25))
    answers.told(1)
    clock.now_s += 5.0
    answers.heard(1)
    assert (answers.ms, answers.due_ms) == (0, 0)


def test_what_was_measured_before_is_known_from_the_start(clock: HandClock) -> None:
    """A session need not wait to learn how far a drafter is that another one was with, or a verifier."""
    known_ms = MovingAverage(0.5)
    known_ms.add(80.0)
    answers = AnswerTimes(clock)
    answers.restart(known_ms)
    asked(answers, clock, 1)
    assert (answers.ms, answers.due_ms) == pytest.approx((80, 79))
    clock.now_s += 0.039
    answers.heard(1)
    assert known_ms.value == pytest.approx(60)
    assert Link(clock, known_ms).ms == pytest.approx(60)
