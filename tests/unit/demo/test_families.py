"""The three tokenizer families lose nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from draftmesh.demo.corpus import read_corpus
from draftmesh.demo.encoding import ids_of
from draftmesh.demo.models import MODEL_NAMES, demo_model_path
from draftmesh.tokenization import Tokenizer, load_tokenizer
from tests.unit.demo.builders import small_tokenizer

ODD_TEXTS = [
    "",
    " ",
    "   leading and trailing   ",
    "\t\ttabs\r\nand\rreturns\n\n\n",
    "<0x41> </s> <|end_of_text|> <eos> <unk> <s>",
    "naïve 日本語 🙂 e\u0301 \u00e9 ﬁ \u2028 \u00a0 \x00 \x7f",
    "a" * 300,
]


def pieces(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of every token."""
    return [tokenizer.vocabulary.token_bytes(token) for token in range(len(tokenizer.vocabulary))]


@pytest.mark.parametrize("name", MODEL_NAMES)
@pytest.mark.parametrize("text", ODD_TEXTS)
def test_token_bytes_of_odd_texts_are_the_text(name: str, text: str) -> None:
    """Spaces, controls, combining marks, ligatures and spelled special tokens all come back."""
    tokenizer = load_tokenizer(demo_model_path(name))
    assert text.encode() == tokenizer.decode_bytes(ids_of(tokenizer, text))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_token_bytes_of_the_corpus_are_the_corpus(name: str) -> None:
    """Every file of the corpus comes back, byte for byte."""
    tokenizer = load_tokenizer(demo_model_path(name))
    corpus = read_corpus()
    files = corpus.training + corpus.held_out
    lost = [file.path for file in files if tokenizer.decode_bytes(ids_of(tokenizer, file.text)) != file.text.encode()]
    assert lost == []


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_newly_trained_tokenizer_is_lossless(name: str, tmp_path: Path) -> None:
    """A tokenizer trained on little text falls back to bytes for the rest."""
    tokenizer = small_tokenizer(name, tmp_path)
    text = "class Größe:\n    pass  # \u4e16\u754c\n"
    assert text.encode() == tokenizer.decode_bytes(ids_of(tokenizer, text))


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_every_byte_is_spelled_by_a_token(name: str) -> None:
    """No byte string is out of reach."""
    spelled = set(pieces(load_tokenizer(demo_model_path(name))))
    assert [byte for byte in range(256) if bytes([byte]) not in spelled] == []


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_auto_tokenizer_agrees(name: str) -> None:
    """AutoTokenizer gives the same ids and adds none."""
    text = "    def f(self, *args):\n        return  [x for x in args]\n"
    auto = AutoTokenizer.from_pretrained(demo_model_path(name))
    assert ids_of(load_tokenizer(demo_model_path(name)), text) == auto.encode(text)


def test_the_families_differ() -> None:
    """No two of the demo vocabularies are the same, and their ends of text are spelled apart."""
    spelled = [frozenset(pieces(load_tokenizer(demo_model_path(name)))) for name in MODEL_NAMES]
    ends = [AutoTokenizer.from_pretrained(demo_model_path(name)).eos_token for name in MODEL_NAMES]
    assert (len(set(spelled)), len(set(ends))) == (3, 3)
