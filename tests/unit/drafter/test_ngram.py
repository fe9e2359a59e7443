"""The drafter without a model: what it finds and what it copies."""

from __future__ import annotations

import pytest

from draftmesh.core.draft import Block, Commit
from draftmesh.core.errors import ConfigError
from draftmesh.core.text import Role
from draftmesh.drafter.chain import Chain
from draftmesh.drafter.lookup import LookupConfig, SuffixIndex
from draftmesh.drafter.ngram import NgramProposer
from draftmesh.drafter.session import DraftSession, Pacing
from tests.helpers.clocks import HandClock
from tests.helpers.fakes_drafter import KeepingOutlet


def found(text: bytes, config: LookupConfig | None = None) -> bytes | None:
    """What follows the best earlier occurrence of the text's end."""
    index = SuffixIndex(config or LookupConfig())
    index.append(text)
    position = index.find()
    return None if position is None else index.read(position, len(text))


def test_text_without_repetition_has_no_match() -> None:
    """Nothing is found where nothing repeats."""
    assert found(b"abcdefgh") is None


def test_match_shorter_than_the_minimum_does_not_count() -> None:
    """Three equal bytes are not four."""
    assert found(b"abc! .. abc") is None


def test_newest_of_equal_matches_wins() -> None:
    """Of two occurrences that match alike the later one is copied."""
    assert found(b" word one; word two; word") == b" two; word"


def test_longest_match_wins_over_the_newest() -> None:
    """More context decides before recency."""
    assert found(b"my word one; word two; my word") == b" one; word two; my word"


def test_match_from_a_word_start_wins_over_one_inside_a_word() -> None:
    """A whole word that matches is better evidence than the tail of another word."""
    assert found(b"my name one; rename two; ?name") == b" one; rename two; ?name"


def test_index_grows_byte_by_byte() -> None:
    """Text that comes in pieces is found as text that comes at once."""
    index = SuffixIndex(LookupConfig())
    text = b"for item in items: yield item\nfor item in"
    for byte in text:
        index.append(bytes((byte,)))
    assert index.find() == text.index(b" items")


def test_candidates_are_bounded() -> None:
    """Only the newest occurrences are compared."""
    text = b"long match here 1" + b" here 2" * 5 + b"long match here"
    assert found(text, LookupConfig(max_candidates=2)) == b" 2long match here"


@pytest.mark.parametrize(
    "config", [LookupConfig(min_match_bytes=0), LookupConfig(8, 4), LookupConfig(max_candidates=0)]
)
def test_config_out_of_range_is_refused(config: LookupConfig) -> None:
    """Impossible lookups are refused at start-up."""
    with pytest.raises(ConfigError):
        config.validate()


def drafting(text: bytes, max_ahead_tokens: int = 4) -> tuple[DraftSession, KeepingOutlet]:
    """A running n-gram session after ``text``."""
    outlet = KeepingOutlet()
    session = DraftSession(Chain((), max_ahead_tokens), outlet, HandClock(), Pacing())
    session.start(NgramProposer(text, LookupConfig(), session))
    return session, outlet


def texts(blocks: list[Block]) -> list[bytes]:
    """The text of each block."""
    return [b"".join(item for item in block.items if isinstance(item, bytes)) for block in blocks]


def test_proposes_what_followed_in_pieces() -> None:
    """The draft is what followed before, cut into words, punctuation and line ends."""
    _, outlet = drafting(b"def area(self, width):\n    return width\n\ndef area", 6)
    assert outlet.texts == [(b"(", b"self", b",", b" width", b"):", b"\n    ")]


def test_copy_runs_on_into_itself() -> None:
    """A periodic text is continued past its own end."""
    _, outlet = drafting(b"tick tock tick tock tick", 5)
    assert texts(outlet.blocks) == [b" tock tick tock tick tock"]


def test_agreeing_commit_goes_on_copying() -> None:
    """A commit that agrees keeps the source; the next block continues the draft."""
    session, outlet = drafting(b"one two three four five six seven; one two", 2)
    session.commit(Commit(1, 0, (b" three",)))
    session.commit(Commit(2, 6, (b" four",)))
    assert texts(outlet.blocks) == [b" three four", b" five", b" six"]


def test_divergence_looks_again_in_all_committed_text() -> None:
    """After a divergence the text that was committed is part of what is searched."""
    session, outlet = drafting(b"one two three; one two")
    session.commit(Commit(1, 0, (b" dozen eggs and one two dozen",)))
    assert texts(outlet.blocks)[-1] == b" eggs and one two"


def test_partly_committed_copy_is_indexed() -> None:
    """Copied pieces that the target took are part of the text after the divergence."""
    session, outlet = drafting(b"red green blue; red green", 2)
    session.commit(Commit(1, 0, (b" blue; red green",)))
    assert texts(outlet.blocks)[-1] == b" blue;"


def test_no_match_says_so() -> None:
    """Without a match the stream is told at once that nothing follows."""
    _, outlet = drafting(b"nothing here is said twice")
    assert [(block.items, block.paused) for block in outlet.blocks] == [((), True)]


def test_roles_add_no_text() -> None:
    """A committed role is passed over: the text before and after it is searched."""
    session, outlet = drafting(b"alpha beta gamma. ")
    session.commit(Commit(1, 0, (Role.END_OF_TURN, b"alpha beta")))
    assert texts(outlet.blocks)[-1].startswith(b" gamma.")
