"""A tokenizer's files on the wire: cut into pieces that fit a message, and put together again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from draftmesh.core.endpoint import TokenizerFile
from draftmesh.core.errors import InvalidRequestError
from draftmesh.v1 import common_pb2

CHUNK_BYTES = 1 << 20
MAX_TOKENIZER_BYTES = 1 << 28
"""All files of one tokenizer; the largest public ones have about 40 MB."""


def tokenizer_chunks(
    files: Iterable[TokenizerFile], chunk_bytes: int = CHUNK_BYTES
) -> Iterator[common_pb2.TokenizerChunk]:
    """The files in order, in pieces; an empty file is one empty piece."""
    for file in files:
        for start in range(0, len(file.data) or 1, chunk_bytes):
            yield common_pb2.TokenizerChunk(file_name=file.name, data=file.data[start : start + chunk_bytes])


class TokenizerAssembler:
    """Puts pieces together again, whatever their size."""

    def __init__(self, max_bytes: int = MAX_TOKENIZER_BYTES) -> None:
        """Refuse more than ``max_bytes`` in all, which bounds what a peer can make us hold."""
        self._max_bytes = max_bytes
        self._size = 0
        self._files: dict[str, bytearray] = {}
        self._current = ""

    def add(self, chunk: common_pb2.TokenizerChunk) -> None:
        """Take the next piece.

        Raises:
            InvalidRequestError: a file name with a folder in it, a file that comes in two runs, or too many bytes.
        """
        name = _file_name(chunk.file_name)
        if name != self._current and name in self._files:
            raise InvalidRequestError(f"file_name: the pieces of {name} do not follow each other")
        self._size += len(chunk.data)
        if self._size > self._max_bytes:
            raise InvalidRequestError(f"data: the tokenizer has more than {self._max_bytes} bytes")
        self._current = name
        self._files.setdefault(name, bytearray()).extend(chunk.data)

    def files(self) -> tuple[TokenizerFile, ...]:
        """All files, in the order of arrival."""
        return tuple(TokenizerFile(name, bytes(data)) for name, data in self._files.items())


def _file_name(name: str) -> str:
    if name in {"", ".", ".."} or any(c in name for c in "/\\\0"):
        raise InvalidRequestError(f"file_name must be a plain file name, got {name!r}")
    return name
