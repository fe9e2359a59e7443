"""Where an inspection's tokenizers and texts come from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from draftmesh.core.errors import ConfigError, UnsupportedTokenizerError
from draftmesh.tokenization import Tokenizer, load_tokenizer
from draftmesh.tokenization.hub import model_folder
from draftmesh.tokenization.tokenizer_files import FILE_NAMES

_LEAST_CHARACTERS = 200
_MOST_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class PairSide:
    """One side of a pair: a model's name, and its tokenizer or why there is none."""

    name: str
    tokenizer: Tokenizer | None
    refusal: str = ""
    """Why its tokenizer cannot be used; empty if it can, or if there is no model and so no tokenizer."""


def pair_side(name: str, model: str) -> PairSide:
    """The tokenizer of a model, from its folder or a hub; a refusal is part of the answer.

    Raises:
        ConfigError: there is no such model.
    """
    try:
        return PairSide(name, load_tokenizer(model_folder(model, FILE_NAMES)))
    except UnsupportedTokenizerError as error:
        return PairSide(name, None, str(error))


def read_texts(path: Path) -> tuple[str, ...]:
    """The texts of a corpus: a JSON list of strings, or a plain text, which is cut at line ends.

    Raises:
        ConfigError: the file cannot be read, is not UTF-8, or holds no text.
    """
    try:
        content = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"the corpus {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the corpus {path} is not UTF-8 at byte {error.start}") from error
    texts = _listed(path, content) if path.suffix == ".json" else tuple(_excerpts(content))
    if not texts:
        raise ConfigError(f"the corpus {path} holds no text")
    return texts


def _listed(path: Path, content: str) -> tuple[str, ...]:
    try:
        texts = json.loads(content)
    except ValueError as error:
        raise ConfigError(f"the corpus {path} is not valid JSON: {error}") from error
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"the corpus {path} is not a JSON list of strings")
    return tuple(text for text in texts if text)


def _excerpts(content: str) -> Iterator[str]:
    """Runs of whole lines with at least ``_LEAST_CHARACTERS``, longer lines in pieces; they add up to the content."""
    excerpt = ""
    for line in content.splitlines(keepends=True):
        for start in range(0, len(line), _MOST_CHARACTERS):
            excerpt += line[start : start + _MOST_CHARACTERS]
            if len(excerpt) >= _LEAST_CHARACTERS:
                yield excerpt
                excerpt = ""
    if excerpt:
        yield excerpt
