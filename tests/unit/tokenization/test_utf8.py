"""Whole, broken and unfinished UTF-8."""

from __future__ import annotations

import pytest

from draftmesh.tokenization import IncrementalDetokenizer
from draftmesh.tokenization.utf8 import Chunk, pending_length, split_pattern, split_text


@pytest.mark.parametrize(
    ("data", "pending"),
    [
        (b"", 0),
        (b"abc", 0),
        ("é".encode(), 0),
        (b"a\xc3", 1),
        (b"a\xe4\xbd", 2),
        (b"\xf0\x9f\x98", 3),
        (b"\xf0\x9f\x98\x80", 0),
        (b"\xbd", 0),
        (b"\xff", 0),
        (b"\xc0", 0),
        (b"\xed\xa0", 0),
        (b"\xf4\x90", 0),
        (b"\xe4A", 0),
    ],
    ids=repr,
)
def test_pending_is_what_more_bytes_can_finish(data: bytes, pending: int) -> None:
    """Only the start of a character waits: not a whole one, nor bytes that no character starts with."""
    assert pending_length(data) == pending


def test_text_and_broken_bytes_are_told_apart() -> None:
    """Runs of text and runs of other bytes alternate, in order."""
    expected = [Chunk(b"\xff\xfe", None), Chunk("aé".encode(), "aé"), Chunk(b"\xe4\xbd", None), Chunk(b"b", "b")]
    assert split_text(b"\xff\xfea\xc3\xa9\xe4\xbdb", split_pattern()) == expected


def test_other_patterns_are_set_apart_too() -> None:
    """What a tokenizer would mistake is not handed to it as text."""
    expected = [Chunk(b"a", "a"), Chunk("▁".encode(), None), Chunk(b"b", "b")]
    assert split_text("a▁b".encode(), split_pattern(["▁"])) == expected


def test_a_character_is_shown_when_it_is_whole() -> None:
    """Three bytes of an emoji show nothing; the fourth shows all of it."""
    detokenizer = IncrementalDetokenizer()
    assert [detokenizer.push(bytes([byte])) for byte in "🙂".encode()] == [b"", b"", b"", "🙂".encode()]


def test_replacement_characters_in_the_text_are_text() -> None:
    """U+FFFD that a model really wrote is passed on like any character."""
    assert IncrementalDetokenizer().push("\ufffd".encode()) == "\ufffd".encode()


def test_flush_gives_the_unfinished_rest_once() -> None:
    """At the end the pending bytes come out, and then nothing is left."""
    detokenizer = IncrementalDetokenizer()
    detokenizer.push(b"a\xe4\xbd")
    assert (detokenizer.flush(), detokenizer.flush()) == (b"\xe4\xbd", b"")
