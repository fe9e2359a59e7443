"""A stream cut anywhere shows the text that the whole would have shown."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.tokenization import IncrementalDetokenizer
from tests.property.tokenization.texts import BYTES

EXAMPLES = settings(max_examples=300, deadline=None, derandomize=True)


def _stream(data: bytes, cuts: list[int]) -> list[bytes]:
    detokenizer = IncrementalDetokenizer()
    borders = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pushed = [detokenizer.push(data[start:end]) for start, end in pairwise(borders)]
    return [*pushed, detokenizer.flush()]


@EXAMPLES
@given(data=BYTES, cuts=st.lists(st.integers(0, 200), max_size=12))
def test_no_byte_is_lost_or_repeated(data: bytes, cuts: list[int]) -> None:
    """What comes out, flush included, is what went in."""
    assert b"".join(_stream(data, cuts)) == data


@EXAMPLES
@given(data=BYTES, cuts=st.lists(st.integers(0, 200), max_size=12))
def test_pieces_decode_as_the_whole_does(data: bytes, cuts: list[int]) -> None:
    """Each piece can be shown when it comes: decoding piece by piece equals decoding everything at the end."""
    shown = "".join(piece.decode(errors="replace") for piece in _stream(data, cuts))
    assert shown == data.decode(errors="replace")


@EXAMPLES
@given(data=BYTES)
def test_at_most_three_bytes_wait(data: bytes) -> None:
    """Only the start of one character is ever held back."""
    detokenizer = IncrementalDetokenizer()
    waiting = []
    for byte in data:
        detokenizer.push(bytes([byte]))
        waiting.append(len(detokenizer.pending))
    assert max(waiting, default=0) <= 3
