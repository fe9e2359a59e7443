"""Which drafts may have paused because of what they say."""

from __future__ import annotations

from draftmesh.coordinator.drafting.pausing import PauseBook
from draftmesh.core.draft import Block, DraftExtent
from draftmesh.core.text import TextPrefix

PAUSES = DraftExtent(least_confidence=0.5)
GOES_ON = DraftExtent()


def book(first: DraftExtent = GOES_ON, *, drafter_pauses: bool = True) -> PauseBook:
    """Of a session whose drafter begins after two bytes."""
    book = PauseBook((b"he",))
    book.restart(first, drafter_pauses=drafter_pauses)
    return book


def block(commit_seq: int, start: bytes, text: bytes) -> Block:
    """A block that follows ``start``."""
    return Block(commit_seq, TextPrefix().extend((start,)), (text,))


def test_a_draft_is_shaped_until_it_is_committed() -> None:
    """What follows it, and was asked for without pauses, is not."""
    pauses = book(PAUSES)
    assert not pauses.is_shaped
    pauses.take(block(0, b"he", b"llo"))
    pauses.ask(1, GOES_ON)
    pauses.settle((b"l",))
    pauses.take(block(1, b"hello", b" you"))
    assert pauses.is_shaped
    pauses.settle((b"lo ",))
    assert not pauses.is_shaped


def test_a_block_that_crosses_a_commit_belongs_to_what_was_asked_before() -> None:
    """Drawn under a commit that asked for pauses, it comes after one that does not; the other way round, too."""
    pauses = book()
    pauses.ask(1, PAUSES)
    pauses.ask(2, GOES_ON)
    pauses.take(block(1, b"he", b"l"))
    assert pauses.is_shaped
    pauses = book()
    pauses.ask(1, PAUSES)
    pauses.take(block(0, b"he", b"l"))  # the drafter may have heard of the commit before it sent the rest
    assert pauses.is_shaped


def test_another_drafter_begins_with_another_draft() -> None:
    """Whatever the one before was asked for; one that knows no probabilities never pauses by them."""
    pauses = book(PAUSES)
    pauses.take(block(0, b"he", b"llo"))
    pauses.restart(GOES_ON, drafter_pauses=True)
    assert not pauses.is_shaped
    ignorant = book(PAUSES, drafter_pauses=False)
    ignorant.take(block(0, b"he", b"llo"))
    assert not ignorant.is_shaped
