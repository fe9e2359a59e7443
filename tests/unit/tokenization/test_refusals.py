"""Tokenizers that normalise or lose bytes are refused, and the error says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from draftmesh.core.endpoint import TokenizerFile
from draftmesh.core.errors import UnsupportedTokenizerError
from draftmesh.tokenization import load_tokenizer, tokenizer_from_files
from tests.helpers.tokenizers import Document, files_of, tokenizer_document, tokenizer_files


def _reason(document: Document) -> str:
    with pytest.raises(UnsupportedTokenizerError) as caught:
        tokenizer_from_files(files_of(document))
    return str(caught.value)


def _split(behavior: str) -> Document:
    return {"type": "Split", "pattern": {"String": " "}, "behavior": behavior, "invert": False}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wordpiece", "as BERT does"),
        ("t5", "compatibility characters"),
        ("bpe-without-bytes", "neither a byte alphabet nor byte fallback"),
    ],
)
def test_lossy_families_are_refused(name: str, words: str) -> None:
    """WordPiece, NFKC Unigram and BPE without bytes cannot carry text."""
    assert words in _reason(tokenizer_document(name))


@pytest.mark.parametrize(
    ("normalizer", "words"),
    [
        ({"type": "Lowercase"}, "lower-cases"),
        ({"type": "StripAccents"}, "accents"),
        ({"type": "NFKC"}, "NFKC"),
        ({"type": "NFD"}, "NFD"),
        ({"type": "Nmt"}, "control characters"),
        ({"type": "Strip", "strip_left": True, "strip_right": True}, "strips spaces"),
        ({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, "replaces"),
        ({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}, "lower-cases"),
    ],
)
def test_lossy_normalizers_are_refused(normalizer: Document, words: str) -> None:
    """A byte-level model does not help if the text is changed before it."""
    assert words in _reason({**tokenizer_document("gpt2"), "normalizer": normalizer})


@pytest.mark.parametrize(
    ("pre_tokenizer", "words"),
    [
        ({"type": "Whitespace"}, "space between words"),
        ({"type": "WhitespaceSplit"}, "space between words"),
        (_split("Removed"), "drops what it splits at"),
    ],
)
def test_lossy_pre_tokenizers_are_refused(pre_tokenizer: Document, words: str) -> None:
    """What falls between two words is lost."""
    stages = {"type": "Sequence", "pretokenizers": [pre_tokenizer, tokenizer_document("gpt2")["pre_tokenizer"]]}
    assert words in _reason({**tokenizer_document("gpt2"), "pre_tokenizer": stages})


def test_a_missing_byte_is_refused() -> None:
    """A byte alphabet that was learnt from too little text lacks bytes."""
    document = tokenizer_document("gpt2")
    vocabulary, merges = document["model"]["vocab"], document["model"]["merges"]
    document["model"]["merges"] = [pair for pair in merges if "Ā" not in "".join(pair)]
    document["model"]["vocab"] = {piece: token for piece, token in vocabulary.items() if "Ā" not in piece}
    assert "no token for 1 of the bytes of UTF-8, the first being 0x00" in _reason(document)


def test_a_loss_that_no_stage_confesses_is_found_by_probing() -> None:
    """Stages that are harmless alone and lossy together come to light on the probe texts."""
    document = tokenizer_document("gpt2")
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}
    document["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [metaspace, document["pre_tokenizer"]]}
    assert "'Plain words, and Capitals.' came back as 'Plain▁words,▁and▁Capitals.'" in _reason(document)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("model"),
        lambda document: document["model"].update(type="Mystery"),
        lambda document: document.update(normalizer={"type": "Mystery"}),
    ],
)
def test_what_is_not_understood_is_refused(change: Callable[[Document], object]) -> None:
    """A tokenizer.json of some future kind is an error of the tokenizer, not of the program."""
    document = tokenizer_document("gpt2")
    change(document)
    assert _reason(document)


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff"])
def test_a_broken_file_is_refused_by_name(data: bytes) -> None:
    """The error names the file that is not JSON."""
    with pytest.raises(UnsupportedTokenizerError, match=r"generation_config\.json"):
        tokenizer_from_files([*tokenizer_files("gpt2"), TokenizerFile("generation_config.json", data)])


def test_an_unconverted_folder_says_how_to_convert(tmp_path: Path) -> None:
    """A folder with a SentencePiece model alone is refused with the remedy."""
    (tmp_path / "tokenizer.model").write_bytes(b"\x0a")
    with pytest.raises(UnsupportedTokenizerError, match=r"tokenizer\.model.*AutoTokenizer.*save_pretrained"):
        load_tokenizer(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """Without tokenizer.json there is no tokenizer."""
    with pytest.raises(UnsupportedTokenizerError, match=r"no tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_files_without_a_tokenizer_are_refused() -> None:
    """The same for files that came over the network."""
    with pytest.raises(UnsupportedTokenizerError, match=r"no tokenizer\.json"):
        tokenizer_from_files([TokenizerFile("README.md", b"")])
