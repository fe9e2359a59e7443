"""Which answers of a verifier count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from draftmesh.coordinator.loop.rounds import RoundBook
from draftmesh.core.errors import UnavailableError
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, Verdict, VerifyRound

START = TokenPrefix()


def after(*ids: int) -> TokenPrefix:
    """The name of these tokens."""
    return START.extend(ids)


def done(number: int, base: TokenPrefix, *tokens: int, accepted: int = 0, final: bool = True) -> Verdict:
    """A verdict on a computed round."""
    return Verdict(number, RoundStatus.DONE, base, accepted, tokens, final=final)


def stale(number: int, state: TokenPrefix) -> Verdict:
    """A refusal."""
    return Verdict(number, RoundStatus.STALE, state)


@pytest.fixture
def book() -> RoundBook:
    """A free run is under way."""
    book = RoundBook()
    book.ask(VerifyRound(1, START, free_run=8))
    return book


def test_rounds_are_open_until_their_last_verdict(book: RoundBook) -> None:
    """A free run answers several times."""
    assert book.match(done(1, START, 5, final=False), START) is not None
    assert not book.is_idle
    assert book.match(done(1, after(5), 6), after(5)) is not None
    assert book.is_idle


def test_a_repeated_verdict_says_nothing_new(book: RoundBook) -> None:
    """Of two answers the first wins, whether the round is still open or not."""
    first = done(1, START, 5, final=False)
    assert book.match(first, START) is not None
    assert book.match(first, after(5)) is None
    last = done(1, after(5), 6)
    assert book.match(last, after(5)) is not None
    assert book.match(last, after(5, 6)) is None


def test_a_verdict_that_skips_tokens_ends_the_stream(book: RoundBook) -> None:
    """Something was lost in between."""
    with pytest.raises(UnavailableError, match="does not continue"):
        book.match(done(1, after(5), 6), START)


def test_a_verdict_on_other_tokens_ends_the_stream(book: RoundBook) -> None:
    """The same length is not the same text."""
    with pytest.raises(UnavailableError, match="does not continue"):
        book.match(done(1, after(9), 6), after(5))


def test_a_verdict_that_accepts_more_than_was_drafted_ends_the_stream(book: RoundBook) -> None:
    """A verifier that cannot count is of no use."""
    with pytest.raises(UnavailableError):
        book.match(done(1, START, 5, 6, accepted=1), START)


def test_a_refused_draft_is_not_sent_again(book: RoundBook) -> None:
    """While a free run goes on, its answer may still be on its way: the base is refused until it comes."""
    book.ask(VerifyRound(2, START, (7, 8)))
    answer = book.match(stale(2, after(5)), START)
    assert answer is not None
    judged = book.judged is not None
    assert (answer.is_stale, book.refuses_at(START), book.refuses_at(after(5)), judged) == (
        True,
        True,
        False,
        False,
    )


def test_a_refusal_without_a_free_run_ends_the_stream(book: RoundBook) -> None:
    """Nothing is on its way, and the verifier is somewhere else."""
    book.match(done(1, START, 5), START)
    book.ask(VerifyRound(2, after(5), (7,)))
    with pytest.raises(UnavailableError, match="somewhere else"):
        book.match(stale(2, after(5, 6)), after(5))


def test_a_refused_free_run_ends_the_stream(book: RoundBook) -> None:
    """There is nothing that could be refused about it."""
    with pytest.raises(UnavailableError, match="somewhere else"):
        book.match(stale(1, START), START)


def test_a_draft_counts_once(book: RoundBook) -> None:
    """The draft is judged by its round's first verdict; tokens that a free run follows up with are not."""
    book.match(done(1, START, 5), START)
    book.ask(VerifyRound(2, after(5), (6, 7, 8), free_run=4))
    first = book.match(done(2, after(5), 6, 9, accepted=1, final=False), after(5))
    second = book.match(done(2, after(5, 6, 9), 4), after(5, 6, 9))
    assert first is not None
    assert second is not None
    books = first.ledger(2, 0.0)
    assert (books.rounds, books.drafted_tokens, books.accepted_tokens, books.free_run_tokens) == (1, 3, 1, 0)
    assert (books.accepted_per_position, books.drafted_per_position, books.target_steps) == ((1,), (1, 1, 1), 1)
    assert (second.ledger(1, 0.0).drafted_tokens, second.ledger(1, 0.0).free_run_tokens) == (0, 1)


def test_tokens_that_were_looked_up_took_fewer_steps(book: RoundBook) -> None:
    """They count as said without a draft."""
    answer = book.match(replace(done(1, START, 5, 6, 7, 8), steps=2), START)
    assert answer is not None
    books = answer.ledger(4, 0.0)
    assert (books.free_run_tokens, books.accepted_tokens, books.target_steps) == (4, 0, 2)


def judging() -> RoundBook:
    """A draft is being judged, and another one has been sent ahead that follows it and the bonus token 7."""
    book = RoundBook()
    book.ask(VerifyRound(1, START, (5, 6)))
    book.ask(VerifyRound(2, after(5, 6, 7), (8,)), (5, 6, 7))
    return book


def test_a_round_sent_ahead_is_judged_when_its_guess_comes_true() -> None:
    """Until then the verifier is at the one before it."""
    book = judging()
    assert (book.judged and book.judged.round, book.drafts) == (1, {(): (5, 6), (5, 6, 7): (8,)})
    book.match(done(1, START, 5, 6, 7, accepted=2), START)
    assert (book.judged and book.judged.round, book.drafts) == (2, {(): (8,)})


@pytest.mark.parametrize("verdict", [done(1, START, 5, 6, 9, accepted=2), done(1, START, 5, 9, accepted=1)])
def test_a_round_sent_ahead_on_a_wrong_guess_is_moot(verdict: Verdict) -> None:
    """Nothing is judged then and the verifier has nothing to do; the refusal, when it comes, says nothing more."""
    book = judging()
    book.match(verdict, START)
    committed = after(*verdict.tokens)
    assert (book.judged, book.is_idle, book.unanswered) == (None, True, 1)
    book.ask(VerifyRound(3, committed, (1,)))
    answer = book.match(stale(2, committed), committed)
    assert answer is not None
    assert (answer.is_stale, answer.is_moot, book.refuses_at(committed)) == (True, True, False)
    assert (book.is_idle, book.unanswered, book.match(stale(2, committed), committed)) == (False, 1, None)


def test_of_rounds_sent_ahead_one_is_judged_next() -> None:
    """The others are moot, and so are those that follow them."""
    book = judging()
    book.ask(VerifyRound(3, after(9), (8,)), (9,))
    book.ask(VerifyRound(4, after(5, 9), (8,)), (5, 9))
    book.ask(VerifyRound(5, after(5, 6, 7, 8, 1), (8,)), (5, 6, 7, 8, 1))
    book.ask(VerifyRound(6, after(5, 9, 8, 1), (3, 4)), (5, 9, 8, 1))
    assert list(book.drafts) == [(), (5, 6, 7), (9,), (5, 9), (5, 6, 7, 8, 1), (5, 9, 8, 1)]
    book.match(done(1, START, 5, 9, accepted=1), START)
    assert (book.judged and book.judged.round, book.unanswered) == (4, 5)
    assert book.drafts == {(): (8,), (8, 1): (3, 4)}
    book.match(done(4, after(5, 9), 8, 1, accepted=1), after(5, 9))
    assert (book.judged and book.judged.round, book.drafts, book.unanswered) == (6, {(): (3, 4)}, 4)


def test_what_follows_a_draft_that_was_refused_is_refused_too() -> None:
    """Whatever a verifier does not come to, it says so of; then it has nothing to do."""
    book = judging()
    book.match(done(1, START, 5, 6, 7, accepted=2, final=False), START)
    book.ask(VerifyRound(3, after(5, 6, 7, 8, 1), (2,)), (8, 1))
    book.match(done(1, after(5, 6, 7), 4), after(5, 6, 7))
    assert (book.judged, book.drafts, book.is_idle, book.unanswered) == (None, {}, True, 2)
    state = after(5, 6, 7, 4)
    answers = [book.match(stale(number, state), state) for number in (2, 3)]
    assert [answer and answer.is_moot for answer in answers] == [True, True]


def test_a_draft_that_a_free_run_may_overtake_is_not_sure_to_be_judged() -> None:
    """The target may have gone another way already; a draft that meets no run is what comes next."""
    book = RoundBook()
    book.ask(VerifyRound(1, START, free_run=8))
    book.ask(VerifyRound(2, START, (5, 6)))
    assert book.runs_freely
    book.match(done(1, START, 5), START)
    assert (book.runs_freely, book.drafts) == (False, {(): (6,)})


@pytest.mark.parametrize(
    ("said", "is_moot"), [((5,), False), ((5, 6), False), ((9,), True), ((5, 9), True), ((5, 6, 7), True)]
)
def test_a_draft_that_a_free_run_has_passed_is_moot(book: RoundBook, said: tuple[int, ...], is_moot: bool) -> None:
    """It will not be judged, so the next one can go out; else what it says beyond the run will be."""
    book.ask(VerifyRound(2, START, (5, 6, 7)))
    book.match(done(1, START, *said, final=False), START)
    assert (book.judged is None) == is_moot
    assert (book.is_idle, book.unanswered) == (False, 2)


def test_a_verifier_that_computes_a_moot_round_is_left() -> None:
    """It speaks of other tokens than this side."""
    book = judging()
    book.match(done(1, START, 9), START)
    with pytest.raises(UnavailableError, match="round 2"):
        book.match(done(2, after(9), 8), after(9))


def test_what_a_free_run_took_of_a_draft_was_not_judged(book: RoundBook) -> None:
    """A draft that lost its first token to the free run that it met has only the rest judged."""
    book.ask(VerifyRound(2, START, (5, 6, 7)))
    book.match(done(1, START, 5), START)
    answer = book.match(done(2, after(5), 6, 7, 8, accepted=2), after(5))
    assert answer is not None
    assert (answer.judged_tokens, answer.ledger(3, 0.0).free_run_tokens) == (2, 0)


def test_the_first_verdict_of_a_stream_tells_nothing_about_steps(book: RoundBook) -> None:
    """Its time is mostly the prompt's."""
    first = book.match(done(1, START, 5, final=False), START)
    second = book.match(done(1, after(5), 6), after(5))
    assert first is not None
    assert second is not None
    assert (first.has_prefill, second.has_prefill) == (True, False)
