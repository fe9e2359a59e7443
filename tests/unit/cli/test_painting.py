"""The two colours of a stream."""

from __future__ import annotations

from draftmesh.cli.painting import DRAFTED_STYLE, TARGET_STYLE, SpanPainter
from draftmesh.client import Chunk, Token


def painted(painter: SpanPainter, offset: int, data: bytes, *tokens: tuple[int, bool]) -> list[tuple[str, str]]:
    """Runs of (text, style) of one chunk; tokens are given as (bytes, drafted)."""
    chunk = Chunk(offset, data, tuple(Token(id=0, byte_length=length, drafted=drafted) for length, drafted in tokens))
    text = painter.paint(chunk)
    runs: list[tuple[str, str]] = []
    for span in text.spans:
        piece, style = text.plain[span.start : span.end], str(span.style)
        if runs and runs[-1][1] == style:
            runs[-1] = (runs[-1][0] + piece, style)
        else:
            runs.append((piece, style))
    return runs


def test_each_token_has_its_origins_colour() -> None:
    """Drafted and own tokens of one chunk are told apart."""
    expected = [("abc", DRAFTED_STYLE), ("d", TARGET_STYLE)]
    assert expected == painted(SpanPainter(), 0, b"abcd", (2, True), (1, True), (1, False))


def test_a_token_may_reach_into_the_next_chunk() -> None:
    """Text that was held back keeps the colour of the token it belongs to."""
    painter = SpanPainter()
    assert painted(painter, 0, b"a", (3, True)) == [("a", DRAFTED_STYLE)]
    assert painted(painter, 1, b"bcd", (1, False)) == [("bc", DRAFTED_STYLE), ("d", TARGET_STYLE)]


def test_a_character_belongs_to_the_token_of_its_first_byte() -> None:
    """A character that two tokens share is painted once."""
    expected = [("é", DRAFTED_STYLE), ("x", TARGET_STYLE)]
    assert expected == painted(SpanPainter(), 0, "éx".encode(), (1, True), (2, False))
