"""Makes a :class:`Tokenizer` of a model's folder or of the files that a verifier serves."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import tokenizers

from draftmesh.core.endpoint import TokenizerFile
from draftmesh.core.errors import UnsupportedTokenizerError
from draftmesh.tokenization.pieces import BYTE_PIECES, byte_of, decoder_of, mistakable
from draftmesh.tokenization.pipeline import Pipeline, read_pipeline
from draftmesh.tokenization.probes import PROBES
from draftmesh.tokenization.roles import find_roles
from draftmesh.tokenization.stability import AddedTokens
from draftmesh.tokenization.tokenizer import Backend, Tokenizer
from draftmesh.tokenization.tokenizer_files import (
    TokenizerFiles,
    parse_files,
    read_folder,
)
from draftmesh.tokenization.utf8 import split_pattern
from draftmesh.tokenization.vocabulary import Vocabulary

_TEXT_BYTES = (*range(0x80), *range(0x80, 0xC0), *range(0xC2, 0xF5))
"""The bytes that occur in UTF-8."""


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a model's folder: ``tokenizer.json`` and, if there, the configs that name its special tokens.

    Raises:
        UnsupportedTokenizerError: it normalises or loses bytes, or was never converted to ``tokenizer.json``.
    """
    return _build(read_folder(path))


def tokenizer_from_files(files: Sequence[TokenizerFile]) -> Tokenizer:
    """The same from files in memory; unknown names are ignored.

    Raises:
        UnsupportedTokenizerError: it normalises or loses bytes, or ``tokenizer.json`` is missing.
    """
    return _build(parse_files(files))


def _build(files: TokenizerFiles) -> Tokenizer:
    prompt = _prompt_face(files)
    pipeline = read_pipeline(files.tokenizer)
    added = prompt.get_added_tokens_decoder()
    special = {token for token, entry in added.items() if entry.special and byte_of(entry.content) is None}
    roles = find_roles(files, {token: entry.content for token, entry in added.items()}, special)
    vocabulary = Vocabulary(_token_bytes(prompt, pipeline), roles, special, _byte_pieces(prompt, pipeline))
    _require_every_byte(vocabulary)
    plain = (entry.content for token, entry in added.items() if not vocabulary.is_special(token))
    backend = Backend(
        prompt,
        _continuation_face(pipeline),
        AddedTokens(itertools.chain(plain, BYTE_PIECES if pipeline.byte_pieces else ())),
        split_pattern(mistakable(space_marker=pipeline.space_marker, byte_pieces=pipeline.byte_pieces)),
    )
    _require_every_text(backend.continuation, vocabulary)
    return Tokenizer(
        backend,
        vocabulary,
        pipeline.family,
        files=files.files,
        digest=files.digest(),
    )


def _prompt_face(files: TokenizerFiles) -> tokenizers.Tokenizer:
    """``tokenizer.json`` alone says what a prompt gets (BOS and its like), as in transformers since version 5."""
    tokenizer = _parse_backend(files.tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _continuation_face(pipeline: Pipeline) -> tokenizers.Tokenizer:
    tokenizer = _parse_backend(json.dumps(pipeline.continuation).encode())
    tokenizer.encode_special_tokens = True  # what spells a special token stays text
    return tokenizer


def _parse_backend(document: bytes) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_buffer(document)
    except Exception as error:  # the library raises nothing more exact
        raise UnsupportedTokenizerError(f"tokenizer.json cannot be loaded: {error}") from error


def _token_bytes(tokenizer: tokenizers.Tokenizer, pipeline: Pipeline) -> list[bytes]:
    decode = decoder_of(byte_alphabet=pipeline.byte_alphabet, space_marker=pipeline.space_marker)
    pieces = tokenizer.get_vocab(with_added_tokens=True)
    outside = pieces.keys() - tokenizer.get_vocab(with_added_tokens=False).keys() if pipeline.byte_alphabet else set()
    tokens = [b""] * (max(pieces.values(), default=-1) + 1)
    for piece, token in pieces.items():
        tokens[token] = piece.encode() if piece in outside else decode(piece)
    return tokens


def _byte_pieces(tokenizer: tokenizers.Tokenizer, pipeline: Pipeline) -> set[int]:
    """Ids of the pieces that spell a byte as ``<0x0A>``."""
    if pipeline.byte_alphabet:
        return set()
    return {token for piece, token in tokenizer.get_vocab(with_added_tokens=True).items() if byte_of(piece) is not None}


def _require_every_byte(vocabulary: Vocabulary) -> None:
    single = {vocabulary.token_bytes(token) for token in range(len(vocabulary))}
    missing = [byte for byte in _TEXT_BYTES if bytes([byte]) not in single]
    if missing:
        raise UnsupportedTokenizerError(
            f"this tokenizer cannot carry text without loss: it has no token for {len(missing)} of the bytes of UTF-8, "
            f"the first being {missing[0]:#04x}"
        )


def _require_every_text(backend: tokenizers.Tokenizer, vocabulary: Vocabulary) -> None:
    for text in PROBES:
        back = vocabulary.join(backend.encode(text, add_special_tokens=False).ids)
        if back != text.encode():
            changed = back.decode(errors="replace")
            raise UnsupportedTokenizerError(
                f"this tokenizer cannot carry text without loss: {text!r} came back as {changed!r}"
            )
