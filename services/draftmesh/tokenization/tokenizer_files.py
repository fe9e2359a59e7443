"""A tokenizer's folder, read once: which files matter, what they say, and a digest that ignores everything else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from draftmesh.core.endpoint import TokenizerFile
from draftmesh.core.errors import UnsupportedTokenizerError

JsonObject = Mapping[str, Any]
"""A parsed JSON object; only this package looks into it."""

TOKENIZER_JSON = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS_MAP = "special_tokens_map.json"
GENERATION_CONFIG = "generation_config.json"
MODEL_CONFIG = "config.json"
FILE_NAMES = (
    TOKENIZER_JSON,
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS_MAP,
    GENERATION_CONFIG,
    MODEL_CONFIG,
    "chat_template.jinja",
    "chat_template.json",
)
"""The files that say how a model reads and writes text."""

_ID_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id", "text_config")
_UNCONVERTED = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json", "vocab.json", "vocab.txt")


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """The relevant files of one folder, and what their JSON says."""

    files: tuple[TokenizerFile, ...]
    tokenizer: JsonObject
    """``tokenizer.json``: the whole pipeline."""

    documents: Mapping[str, JsonObject] = field(repr=False)
    """The other JSON files, by name; of model and generation config only the ids of special tokens."""

    @property
    def tokenizer_json(self) -> bytes:
        """``tokenizer.json`` as it was read."""
        return next(file.data for file in self.files if file.name == TOKENIZER_JSON)

    def document(self, name: str) -> JsonObject:
        """A file's content; empty when there is no such file."""
        return self.documents.get(name, {})

    def digest(self) -> bytes:
        """SHA-256 of what the files say, whatever their formatting and order."""
        templates = {file.name: file.data.hex() for file in self.files if not file.name.endswith(".json")}
        documents = {name: document for name, document in self.documents.items() if document}
        whole = {TOKENIZER_JSON: self.tokenizer, **documents, **templates}
        return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).digest()


def read_folder(path: Path) -> TokenizerFiles:
    """Read the relevant files of a model's folder.

    Raises:
        UnsupportedTokenizerError: there is no ``tokenizer.json``, or a file is not valid JSON.
    """
    if not (path / TOKENIZER_JSON).is_file():
        raise UnsupportedTokenizerError(_why_no_tokenizer(path))
    found = (path / name for name in FILE_NAMES)
    return parse_files([TokenizerFile(file.name, file.read_bytes()) for file in found if file.is_file()])


def parse_files(files: Iterable[TokenizerFile]) -> TokenizerFiles:
    """Parse the relevant ones of ``files``.

    Raises:
        UnsupportedTokenizerError: there is no ``tokenizer.json``, or a file is not valid JSON.
    """
    by_name = {file.name: file for file in files}
    relevant = tuple(by_name[name] for name in FILE_NAMES if name in by_name)
    if TOKENIZER_JSON not in by_name:
        raise UnsupportedTokenizerError(f"there is no {TOKENIZER_JSON} among {sorted(by_name)}")
    documents = {file.name: _parse(file) for file in relevant if file.name.endswith(".json")}
    tokenizer = documents.pop(TOKENIZER_JSON)
    for name in (GENERATION_CONFIG, MODEL_CONFIG):
        if name in documents:
            documents[name] = _token_ids(documents[name])
    return TokenizerFiles(relevant, tokenizer, documents)


def _parse(file: TokenizerFile) -> JsonObject:
    try:
        document = json.loads(file.data)
    except ValueError as error:
        raise UnsupportedTokenizerError(f"{file.name} is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise UnsupportedTokenizerError(f"{file.name} is not a JSON object")
    return document


def _token_ids(config: JsonObject) -> JsonObject:
    """Only what a model's config says of special tokens: a new dtype does not make a new tokenizer."""
    kept = {key: config[key] for key in _ID_KEYS if config.get(key) is not None}
    if isinstance(kept.get("text_config"), dict):
        kept["text_config"] = _token_ids(kept["text_config"])
    return kept


def _why_no_tokenizer(path: Path) -> str:
    present: Sequence[str] = [name for name in _UNCONVERTED if (path / name).is_file()]
    if not present:
        return f"there is no {TOKENIZER_JSON} in {path}"
    return (
        f"{path} has {', '.join(present)}, but no {TOKENIZER_JSON}; convert it once with transformers: "
        f"AutoTokenizer.from_pretrained(folder, use_fast=True).save_pretrained(folder)"
    )
