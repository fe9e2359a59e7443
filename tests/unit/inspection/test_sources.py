"""Corpora as users have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from draftmesh.core.errors import ConfigError
from draftmesh.inspection.sources import pair_side, read_texts
from tests.helpers.tokenizers import small_tokenizer, write_tokenizer


def test_a_plain_text_is_cut_at_line_ends(tmp_path: Path) -> None:
    """The pieces add up to the text, end with lines, and are neither tiny nor huge."""
    text = "".join(f"line {index} é\r\n" for index in range(100)) + "x" * 2500 + "\nend"
    (tmp_path / "corpus.txt").write_bytes(text.encode())
    texts = read_texts(tmp_path / "corpus.txt")
    assert "".join(texts) == text
    assert all(200 <= len(piece) <= 1200 for piece in texts[:-1])
    assert texts[0].endswith("\r\n")


def test_a_json_list_is_taken_as_it_is(tmp_path: Path) -> None:
    """Empty texts are left out."""
    (tmp_path / "corpus.json").write_text('["one", "", "two\\n"]')
    assert read_texts(tmp_path / "corpus.json") == ("one", "two\n")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "holds no text"),
        ("a.txt", b"ab\xff", "not UTF-8 at byte 2"),
        ("a.json", b"[1]", "not a JSON list of strings"),
        ("a.json", b"[", "not valid JSON"),
        ("a.json", b"[]", "holds no text"),
        ("a.txt", None, "cannot be read: No such file"),
    ],
)
def test_a_corpus_that_is_none_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    """The error names the file and what is wrong with it."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_texts(tmp_path / name)


def test_a_tokenizer_is_read_from_its_folder(tmp_path: Path) -> None:
    """The same tokenizer, under the name that it was asked for by."""
    found = pair_side("mine", str(write_tokenizer("gemma", tmp_path)))
    assert found.tokenizer is not None
    assert (found.name, found.refusal, found.tokenizer.digest) == ("mine", "", small_tokenizer("gemma").digest)


def test_a_folder_without_a_tokenizer_is_a_refusal(tmp_path: Path) -> None:
    """It says what is missing."""
    assert "there is no tokenizer.json" in pair_side("empty", str(tmp_path)).refusal
