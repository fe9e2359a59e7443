"""The tokens that the records of a session share."""

from __future__ import annotations

import pytest

from draftmesh.coordinator.loop.transcript import Origin, TokenSpan
from draftmesh.coordinator.sessions.token_log import TokenLog

SPANS = tuple(TokenSpan(number, 1, Origin.TARGET) for number in range(8))


def test_an_older_log_does_not_see_what_was_added_to_it() -> None:
    """A record that somebody still holds stays as it was."""
    old = TokenLog(SPANS[:2])
    new = old.extended(SPANS[2:5])
    assert (tuple(old), len(old), tuple(new), len(new)) == (SPANS[:2], 2, SPANS[:5], 5)


def test_two_logs_lengthened_from_one_are_apart() -> None:
    """A step that could not be persisted and is taken again leaves no trace."""
    old = TokenLog(SPANS[:2])
    first, second = old.extended(SPANS[2:4]), old.extended(SPANS[5:])
    assert (tuple(first), tuple(second)) == (SPANS[:4], SPANS[:2] + SPANS[5:])


@pytest.mark.parametrize("key", [slice(None), slice(1, None), slice(-2, None), slice(None, None, 2), slice(3, 100)])
def test_slices_are_those_of_a_tuple(key: slice) -> None:
    """And end where this log ends, not where the list does."""
    log = TokenLog(SPANS[:5])
    log.extended(SPANS[5:])
    assert log[key] == SPANS[:5][key]


@pytest.mark.parametrize("key", [5, -6])
def test_there_is_nothing_beyond_the_end(key: int) -> None:
    """Whatever a longer log has there."""
    log = TokenLog(SPANS[:5])
    log.extended(SPANS[5:])
    with pytest.raises(IndexError):
        log[key]


def test_logs_of_the_same_tokens_are_equal() -> None:
    """However they came by them."""
    grown = TokenLog(SPANS[:2]).extended(SPANS[2:])
    assert (grown == TokenLog(SPANS), hash(grown) == hash(TokenLog(SPANS)), grown == TokenLog(SPANS[:2])) == (
        True,
        True,
        False,
    )


def test_lengthening_the_newest_log_copies_nothing() -> None:
    """A step of a long session costs no more than one of a short session: all its records share one list."""
    log = TokenLog(SPANS[:1])
    shared = log._spans
    for span in SPANS[1:]:
        log = log.extended((span,))
    assert (log._spans is shared, tuple(log)) == (True, SPANS)
