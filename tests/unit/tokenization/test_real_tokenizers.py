"""Real vocabularies of full size: the same tokens as their own libraries give, and true translations."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable

import pytest

pytest.importorskip("mistral_common")
pytest.importorskip("tiktoken")

from draftmesh.tokenization import DraftTranslator
from tests.unit.tokenization.mistral_files import RealTokenizer, sentencepiece_v3, tekken

SOURCE = inspect.getsource(json.JSONDecoder)
CHINESE = (
    "今天天气很好，我们一起去公园散步。这个使用API的例子在Python里很简单，性能也不错。人工智能的发展速度非常快。" * 3
)
HARD = "He'll say it's fine — naïve café 🙂👍 12345\n\n  x\t\ty </s> <s> [INST] <0x41> e\u0301 ﬁ"

BOTH = pytest.mark.parametrize("build", [sentencepiece_v3, pytest.param(tekken, marks=pytest.mark.slow)])


@pytest.mark.parametrize("text", [SOURCE, CHINESE, HARD])
def test_sentencepiece_tokens_are_its_own(text: str) -> None:
    """After a space, which SentencePiece adds itself, the ids are SentencePiece's."""
    real = sentencepiece_v3()
    assert real.tokenizer.encode_bytes(f" {text}".encode()) == real.reference(text)


@pytest.mark.slow
@pytest.mark.parametrize("text", [SOURCE, CHINESE, HARD])
def test_tekken_tokens_are_its_own(text: str) -> None:
    """The ids are those of the tiktoken library, special spellings as text included."""
    real = tekken()
    assert real.tokenizer.encode_bytes(text.encode()) == real.reference(text)


@BOTH
@pytest.mark.parametrize("text", [SOURCE, CHINESE], ids=["source", "chinese"])
def test_what_is_sent_of_a_draft_is_what_the_target_would_write(build: Callable[[], RealTokenizer], text: str) -> None:
    """At every token of a text, the ids sent for the next 64 bytes are the text's own next ids."""
    tokenizer = build().tokenizer
    ids, data = tokenizer.encode_bytes(text.encode()), text.encode()
    translator, start = DraftTranslator(tokenizer), 0
    wrong = []
    for position, token in enumerate(ids):
        translated = translator.translate([data[start : start + 64]], ended=False).ids
        if list(translated) != ids[position : position + len(translated)]:
            wrong.append(position)
        translator.commit([token])
        start += len(tokenizer.vocabulary.token_bytes(token))
    assert wrong == []


@BOTH
def test_little_of_a_text_is_held_back(build: Callable[[], RealTokenizer]) -> None:
    """Of the source's first 64-byte pieces, at most one byte in six waits for more text, in Chinese too."""
    tokenizer = build().tokenizer
    data = (SOURCE + CHINESE).encode()
    pieces = [data[start : start + 64] for start in range(0, len(data) - 64, 64)]
    held = sum(len(piece) - tokenizer.stable_length(piece) for piece in pieces)
    assert held <= 64 * len(pieces) / 6
