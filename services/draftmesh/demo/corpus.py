"""The text the demo models learn from: the running interpreter's standard library.

Every Python installation has it, so the models can be retrained anywhere without a download. Files
are held out by a hash of their relative path: the split does not move when files come or go.
"""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SKIPPED_FOLDERS = frozenset({"test", "tests", "idle_test", "site-packages", "__pycache__", "encodings", "pydoc_data"})
"""Tests and third parties; and two folders of generated tables, which teach a model to repeat."""

HELD_OUT_PER_MILLE = 30
_MIN_FILE_BYTES = 200


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the corpus; `path` is relative to the standard library, with forward slashes."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """The two disjoint parts of the corpus, each sorted by path."""

    training: tuple[SourceFile, ...]
    held_out: tuple[SourceFile, ...]


def is_held_out(relative_path: str) -> bool:
    """Whether a file is kept from training; depends on its path alone."""
    digest = hashlib.sha256(relative_path.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 1000 < HELD_OUT_PER_MILLE


def read_corpus(root: Path | None = None) -> Corpus:
    """Read and split the sources under `root` (by default the running standard library)."""
    files = list(_source_files(root or Path(sysconfig.get_paths()["stdlib"])))
    return Corpus(
        training=tuple(file for file in files if not is_held_out(file.path)),
        held_out=tuple(file for file in files if is_held_out(file.path)),
    )


def _source_files(root: Path) -> Iterator[SourceFile]:
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if SKIPPED_FOLDERS.isdisjoint(relative.parts) and path.stat().st_size >= _MIN_FILE_BYTES:
            text = _decoded(path)
            if text is not None:
                yield SourceFile(path=relative.as_posix(), text=text)


def _decoded(path: Path) -> str | None:
    """The file's text with its own line ends, or None for the few files that are not UTF-8."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        return None
