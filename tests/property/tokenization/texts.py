"""Texts and bytes that tokenizers find hard, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.helpers.tokenizers import CORPUS

_HARD = (
    *("<tool_call>", "<tool", "</s>", "<|im_end|>", "<|endoftext|>", "<0x41>", "▁", "▁▁", "<unk>", "<eos>"),
    *("he's", "I'll", "'", "’", "  \n  ", "\n\n\n", "   ", " ", "\n", "\r\n", "\t", "12345", "使用API", "Ab", "aB"),
    *("e\u0301", "ﬁ", "🙂", "👩‍👩‍👧", "한", "ไทย", "\u00a0", "\u3000", "\x00", "\ufffd"),
)
_WORDS = tuple(sorted({word for text in CORPUS for word in text.split(" ")}))

PIECES = st.one_of(
    st.sampled_from(_WORDS),
    st.sampled_from(_WORDS).map(lambda word: f" {word}"),
    st.sampled_from(_HARD),
    st.characters(codec="utf-8"),
)

TEXTS = st.lists(PIECES, max_size=8).map("".join)
"""Text made of words, spaces, and what is easily mistaken."""

BYTES = st.lists(st.one_of(PIECES.map(str.encode), st.binary(max_size=3)), max_size=8).map(b"".join)
"""The same with bytes in between that are not UTF-8."""

CUT_TEXTS = st.tuples(TEXTS, st.integers(0, 3), st.integers(0, 3)).map(
    lambda drawn: drawn[0].encode()[drawn[1] : len(drawn[0].encode()) - drawn[2]]
)
"""Text that may begin and end inside a character, as drafts do."""
