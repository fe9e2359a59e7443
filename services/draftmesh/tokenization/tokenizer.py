"""A tokenizer as draftmesh uses it: exact in bytes, and able to continue a text that is already tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import tokenizers

from draftmesh.core.endpoint import TokenizerFile
from draftmesh.core.errors import InvalidTextError
from draftmesh.tokenization.pieces import BYTE_PIECES
from draftmesh.tokenization.pipeline import TokenizerFamily
from draftmesh.tokenization.stability import AddedTokens, Neighbours, settled_length
from draftmesh.tokenization.utf8 import Chunk, pending_length, split_text
from draftmesh.tokenization.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text as tokens."""

    ids: list[int]
    stable_length: int
    """Leading bytes whose tokens stay whatever text follows."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The two faces of the underlying tokenizer."""

    prompt: tokenizers.Tokenizer
    """The model's own: BOS, added space, normalisation of composed characters and all."""

    continuation: tokenizers.Tokenizer
    """Rewritten to continue a text (``pipeline.Pipeline.continuation``)."""

    added: AddedTokens
    """Those that stand for their own text."""

    not_text: re.Pattern[str]
    """What is to be written in byte tokens (``utf8.split_pattern``)."""


class Tokenizer:
    """Text to ids and back, without losing a byte.

    Satisfies ``core.protocols.TextEncoder``. Immutable, and safe to share by threads.
    """

    def __init__(
        self,
        backend: Backend,
        vocabulary: Vocabulary,
        family: TokenizerFamily,
        *,
        files: tuple[TokenizerFile, ...],
        digest: bytes,
    ) -> None:
        self._backend = backend
        self.vocabulary = vocabulary
        self.family = family
        self.files = files
        """The files that it was made from, and nothing else of their folder."""
        self.digest = digest
        """SHA-256 of what the files say, whatever their formatting."""
        self._bytes = [vocabulary.token_bytes(token) for token in range(len(vocabulary))]
        self._neighbours = Neighbours(self._bytes)
        self._byte_ids = _find_byte_ids(backend.continuation, self._bytes)

    def encode_prompt(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The ids that the model's own tokenizer gives; special tokens that ``text`` spells out are special.

        Args:
            text: a prompt, or a chat rendered by a template.
            add_special_tokens: whether to add BOS and its like; a rendered chat has them already.
        """
        return self._backend.prompt.encode(text, add_special_tokens=add_special_tokens).ids

    def encode_bytes(self, text: bytes) -> list[int]:
        """Ids whose bytes add up to ``text``, as the continuation of some other text.

        No BOS and no added space; what spells a special token stays text; bytes that are not UTF-8 become byte tokens.

        Raises:
            InvalidTextError: the vocabulary has no token for one of the bytes.
        """
        return [token for chunk in self._chunks(text) for token in self._encode_chunk(chunk)]

    def encode_known(self, text: bytes) -> list[int]:
        """As :meth:`encode_bytes`, but without the bytes that no token stands for: only such as UTF-8 never has."""
        try:
            return self.encode_bytes(text)
        except InvalidTextError:
            return self.encode_bytes(bytes(byte for byte in text if byte in self._byte_ids))

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of ``ids``; special tokens add nothing.

        Raises:
            InvalidTokenError: an id lies outside the vocabulary.
        """
        return self.vocabulary.join(ids)

    def stable_length(self, text: bytes) -> int:
        """Leading bytes whose tokenization no later text changes; :mod:`.stability` says how far that holds."""
        return self.encode(text).stable_length

    def encode(self, text: bytes) -> Encoded:
        """As :meth:`encode_bytes`, and how much of it stays."""
        whole = len(text) - pending_length(text)
        chunks = self._chunks(text[:whole])
        ids = [token for chunk in chunks[:-1] for token in self._encode_chunk(chunk)]
        stable = whole
        if chunks:
            last, settled = self._encode_last(chunks[-1])
            ids += last
            stable += settled - len(chunks[-1].data)
        return Encoded(ids + self._encode_raw(text[whole:]), stable)

    def _chunks(self, text: bytes) -> list[Chunk]:
        return split_text(text, self._backend.not_text)

    def _encode_chunk(self, chunk: Chunk) -> list[int]:
        if chunk.text is None:
            return self._encode_raw(chunk.data)
        ids = self._backend.continuation.encode(chunk.text, add_special_tokens=False).ids
        return ids if self._spells(ids, chunk.data) else self._encode_halves(chunk.text)

    def _encode_last(self, chunk: Chunk) -> tuple[list[int], int]:
        """Ids of the chunk, and how many of its bytes are settled."""
        if chunk.text is None:
            return self._encode_raw(chunk.data), len(chunk.data)
        encoding = self._backend.continuation.encode(chunk.text, add_special_tokens=False)
        if not self._spells(encoding.ids, chunk.data):
            return self._encode_halves(chunk.text), 0
        words = self._word_starts(encoding, chunk)
        settled = settled_length(chunk.text, words, self._neighbours, self._backend.added)
        return encoding.ids, len(chunk.text[:settled].encode())

    def _word_starts(self, encoding: tokenizers.Encoding, chunk: Chunk) -> list[int]:
        """Where the pre-tokenizer's words start, in characters of the chunk."""
        ends = accumulate(len(self._bytes[token]) for token in encoding.ids)
        starts, previous = [0], 0
        words = encoding.word_ids
        for index, end in enumerate(ends, start=1):
            if index < len(words) and words[index] != words[index - 1]:
                starts.append(starts[-1] + len(chunk.data[previous:end].decode()))
                previous = end
        return starts

    def _spells(self, ids: Sequence[int], data: bytes) -> bool:
        pieces = [self._bytes[token] for token in ids]
        return b"".join(pieces) == data and all(pieces)

    def _encode_halves(self, text: str) -> list[int]:
        """For text that the backend does not give back as it was: halve it, down to characters as byte tokens."""
        if len(text) == 1:
            return self._encode_raw(text.encode())
        middle = len(text) // 2
        halves = (text[:middle], text[middle:])
        return [token for half in halves for token in self._encode_chunk(Chunk(half.encode(), half))]

    def _encode_raw(self, data: bytes) -> list[int]:
        try:
            return [self._byte_ids[byte] for byte in data]
        except KeyError as error:
            raise InvalidTextError(f"the vocabulary has no token for the byte {error.args[0]:#04x}") from None


def _find_byte_ids(backend: tokenizers.Tokenizer, tokens: Sequence[bytes]) -> dict[int, int]:
    """The token of each single byte: the lowest id, and one that is not a byte fallback piece if there is one."""
    fallback = {backend.token_to_id(piece) for piece in BYTE_PIECES}
    single = [token for token, data in enumerate(tokens) if len(data) == 1]
    single.sort(key=lambda token: (token not in fallback, -token))
    return {tokens[token][0]: token for token in single}
