"""Encoding loses no byte, whatever the bytes, and never says more than the text does."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings

from tests.helpers.tokenizers import ACCEPTED, small_tokenizer
from tests.property.tokenization.texts import BYTES, TEXTS

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)

NO_ADDED_SPACE = ("gpt2", "llama3", "qwen", "gpt4o", "gemma")
"""Tokenizers whose own encoding of a text is also that of a continuation."""


@pytest.mark.parametrize("name", ACCEPTED)
@EXAMPLES
@given(data=BYTES)
def test_bytes_survive_encoding(name: str, data: bytes) -> None:
    """decode_bytes(encode_bytes(x)) is x for every byte string."""
    tokenizer = small_tokenizer(name)
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(data)) == data


@pytest.mark.parametrize("name", ACCEPTED)
@EXAMPLES
@given(data=BYTES)
def test_text_never_becomes_a_special_token(name: str, data: bytes) -> None:
    """What spells a special token is encoded as ordinary text, and every token adds bytes."""
    tokenizer = small_tokenizer(name)
    ids = tokenizer.encode_bytes(data)
    assert [token for token in ids if tokenizer.vocabulary.token_bytes(token) == b""] == []


@pytest.mark.parametrize("name", NO_ADDED_SPACE)
@EXAMPLES
@given(text=TEXTS)
def test_continuation_uses_the_models_own_tokens(name: str, text: str) -> None:
    """Without an added space a text's tokens are exactly those of the model's own tokenizer."""
    tokenizer = small_tokenizer(name)
    text = unicodedata.normalize("NFC", text).replace("▁", "")
    own = tokenizer.encode_prompt(text, add_special_tokens=False)
    if not any(tokenizer.vocabulary.is_special(token) for token in own):
        assert tokenizer.encode_bytes(text.encode()) == own


@EXAMPLES
@given(text=TEXTS)
def test_continuation_after_a_space_is_the_prompt_with_its_added_space(text: str) -> None:
    """Llama 2 writes a text as if a space stood before it; a continuation has to have that space."""
    tokenizer = small_tokenizer("llama2")
    text = text.replace("▁", "")
    own = tokenizer.encode_prompt(text, add_special_tokens=False)
    if text and not any(tokenizer.vocabulary.is_special(token) for token in own):
        assert tokenizer.encode_bytes(f" {text}".encode()) == own
