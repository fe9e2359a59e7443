"""Known texts under known tokenizers."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from draftmesh.core.errors import InvalidTextError, InvalidTokenError
from draftmesh.tokenization import Tokenizer, tokenizer_from_files
from tests.helpers.tokenizers import (
    ACCEPTED,
    SENTENCEPIECE,
    files_of,
    small_tokenizer,
    tokenizer_document,
    write_tokenizer,
)


def _pieces(tokenizer: Tokenizer, text: bytes) -> list[bytes]:
    return [tokenizer.vocabulary.token_bytes(token) for token in tokenizer.encode_bytes(text)]


@pytest.mark.parametrize("name", ACCEPTED)
def test_prompts_are_encoded_as_transformers_does(name: str, tmp_path: Path) -> None:
    """BOS, added space, special tokens in the text: all as the model was trained to see them."""
    reference = PreTrainedTokenizerFast.from_pretrained(write_tokenizer(name, tmp_path))
    text = "Hello  wörld </s>\n<|im_end|> <|eot_id|> e\u0301"
    assert small_tokenizer(name).encode_prompt(text) == reference(text)["input_ids"]


@pytest.mark.parametrize("name", ["llama2", "mistral", "gemma", "llama3"])
def test_a_rendered_chat_gets_no_second_bos(name: str) -> None:
    """A template has written the special tokens already."""
    tokenizer = small_tokenizer(name)
    with_bos, without = (tokenizer.encode_prompt("Hi", add_special_tokens=added) for added in (True, False))
    assert with_bos[1:] == without


@pytest.mark.parametrize("name", SENTENCEPIECE)
def test_a_continuation_gets_no_added_space(name: str) -> None:
    """Only a text's start gets the space that SentencePiece adds."""
    assert _pieces(small_tokenizer(name), b"The")[0][:1] == b"T"


def test_gpt2_prefix_space_is_not_added_to_a_continuation() -> None:
    """A tokenizer that adds a space to prompts does not add one to what follows them."""
    tokenizer = small_tokenizer("gpt2-prefix")
    assert (tokenizer.decode_bytes(tokenizer.encode_prompt("The")), _pieces(tokenizer, b"The")) == (b" The", [b"The"])


def test_composed_characters_are_not_composed_again() -> None:
    """Qwen's tokenizer composes e + accent; a continuation keeps the two characters apart."""
    tokenizer = small_tokenizer("qwen")
    assert tokenizer.decode_bytes(tokenizer.encode_bytes("e\u0301".encode())) == "e\u0301".encode()


def test_added_tokens_that_are_text_are_found() -> None:
    """An added token that is not special is its own text, and texts that hold it get its id."""
    assert _pieces(small_tokenizer("qwen"), b"a<tool_call>b") == [b"a", b"<tool_call>", b"b"]


def test_a_space_marker_in_a_text_is_not_a_space() -> None:
    """U+2581 is written in bytes, for its own token means a space."""
    assert _pieces(small_tokenizer("llama2"), "a▁".encode()) == [b"a", b"\xe2", b"\x96", b"\x81"]


def test_a_spelled_byte_piece_is_not_a_byte() -> None:
    """Unigram would take <0x41> for the letter A."""
    assert b"".join(_pieces(small_tokenizer("unigram"), b"<0x41>")) == b"<0x41>"


def test_a_byte_that_no_text_has_may_be_missing() -> None:
    """0xFF occurs in no UTF-8; a vocabulary without it is fine until somebody sends one, which can be left out."""
    document = tokenizer_document("llama2")
    del document["model"]["vocab"]["<0xFF>"]
    tokenizer = tokenizer_from_files(files_of(document))
    with pytest.raises(InvalidTextError, match="0xff"):
        tokenizer.encode_bytes(b"a\xff")
    assert tokenizer.encode_known("é\n".encode() + b"\xff\xfe") == tokenizer.encode_bytes("é\n".encode() + b"\xfe")


def test_ids_outside_the_vocabulary_have_no_bytes() -> None:
    """Padded rows of a model's head are not tokens."""
    tokenizer = small_tokenizer("gpt2")
    with pytest.raises(InvalidTokenError):
        tokenizer.decode_bytes([len(tokenizer.vocabulary)])


@pytest.mark.parametrize("name", ["gpt2", "llama3", "qwen", "gpt4o", "llama2", "mistral-split", "gemma"])
@pytest.mark.parametrize(
    ("text", "stable"),
    [("The quick", "The"), ("The quick ", "The quick"), ("The quick fo", "The quick"), ("", "")],
)
def test_the_last_word_is_not_stable(name: str, text: str, stable: str) -> None:
    """A word may go on, and the space after it may go to the next word."""
    assert small_tokenizer(name).stable_length(text.encode()) == len(stable.encode())


@pytest.mark.parametrize("text", ["The\n", "The\n\n", "The  \n  "])
def test_white_space_at_the_end_is_not_stable(text: str) -> None:
    """One more line break may take the whole run into one word."""
    assert small_tokenizer("llama3").stable_length(text.encode()) == len("The")


@pytest.mark.parametrize("start", ["<", "<tool", "<tool_call"])
def test_the_start_of_an_added_token_is_not_stable(start: str) -> None:
    """`so <tool` may become `so ` and the added token, whose space would be another token than that of ` <`."""
    assert small_tokenizer("qwen").stable_length(f"so {start}".encode()) == len("so")


def test_a_contraction_is_not_stable_before_it_is_written() -> None:
    """GPT-4o's pattern makes one word of `it's`: `it` is not a word of its own while an apostrophe follows."""
    assert small_tokenizer("gpt4o").stable_length(b"so it'") == len("so")


def test_a_character_that_has_only_begun_is_not_stable() -> None:
    """Its bytes are byte tokens only if nothing follows."""
    assert small_tokenizer("llama2").stable_length(b"so\xe4\xbd") <= len("so")


def test_truncation_in_the_file_does_not_truncate() -> None:
    """A tokenizer saved with a maximum length still reads whole prompts."""
    document = tokenizer_document("gpt2")
    document["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    tokenizer = tokenizer_from_files(files_of(document))
    text = "The quick brown fox jumps"
    assert (tokenizer.decode_bytes(tokenizer.encode_prompt(text)), _pieces(tokenizer, text.encode())[-1]) == (
        text.encode(),
        b" jumps",
    )
