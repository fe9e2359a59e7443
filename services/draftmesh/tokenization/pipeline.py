"""Reads ``tokenizer.json``: decides whether the tokenizer keeps every byte, and rewrites it to continue a text.

A tokenizer is a pipeline: normalizer, pre-tokenizer, model. Nothing here is guessed from a model's name: every stage
is allowed by its type, refused by its type, or unknown and refused. What the stages promise is checked afterwards on
probe texts (``probes.py``).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from draftmesh.core.errors import UnsupportedTokenizerError
from draftmesh.tokenization.pieces import SPACE_MARKER, byte_of
from draftmesh.tokenization.tokenizer_files import JsonObject

_LOSSY_NORMALIZERS = {
    "Lowercase": "it lower-cases text",
    "StripAccents": "it strips accents",
    "NFD": "it decomposes characters (NFD)",
    "NFKD": "it replaces compatibility characters and decomposes (NFKD)",
    "NFKC": "it replaces compatibility characters (NFKC)",
    "Nmt": "it drops control characters and rewrites spaces (Nmt)",
    "BertNormalizer": "it cleans text as BERT does (lower case, accents, control characters)",
    "Precompiled": "it rewrites characters by a precompiled map (NFKC and its like)",
    "Strip": "it strips spaces from the ends of a text",
}
_LOSSY_PRE_TOKENIZERS = {
    "Whitespace": "it drops the space between words",
    "WhitespaceSplit": "it drops the space between words",
    "BertPreTokenizer": "it drops the space between words",
    "CharDelimiterSplit": "it drops its delimiter",
}
_LOSSLESS_PRE_TOKENIZERS = frozenset(
    {"ByteLevel", "Metaspace", "Split", "Punctuation", "Digits", "UnicodeScripts", "FixedLength"}
)
_LOSSY_MODELS = {
    "WordPiece": "WordPiece drops the space between words",
    "WordLevel": "WordLevel turns words outside its vocabulary into an unknown token",
}


class TokenizerFamily(enum.StrEnum):
    """How a tokenizer cuts text; all three keep every byte."""

    BYTE_LEVEL_BPE = "byte-level-bpe"
    SENTENCEPIECE_BPE = "sentencepiece-bpe"
    UNIGRAM = "unigram"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a ``tokenizer.json`` does to text."""

    family: TokenizerFamily
    byte_alphabet: bool
    """Pieces are written in the byte-level alphabet (otherwise they are text, with ``<0xNN>`` for single bytes)."""

    space_marker: bool
    """Pieces write a space as ``▁``."""

    byte_pieces: bool
    """A byte piece that is spelled out in a text is taken for the byte."""

    continuation: JsonObject
    """The same tokenizer for a text that goes on: no added space, no BOS, no normalisation of composed characters."""


def read_pipeline(tokenizer: JsonObject) -> Pipeline:
    """Judge and rewrite a ``tokenizer.json``.

    Raises:
        UnsupportedTokenizerError: it normalises or loses bytes; the message names the reason.
    """
    normalizers = list(_stages(tokenizer.get("normalizer")))
    pre_tokenizers = list(_stages(tokenizer.get("pre_tokenizer")))
    for stage in normalizers:
        _judge_normalizer(stage)
    for stage in pre_tokenizers:
        _judge_pre_tokenizer(stage)
    types = {stage["type"] for stage in (*normalizers, *pre_tokenizers)}
    byte_alphabet = "ByteLevel" in types
    family = _judge_model(tokenizer.get("model") or {}, byte_alphabet)
    return Pipeline(
        family,
        byte_alphabet=byte_alphabet,
        space_marker=bool({"Metaspace", "Replace"} & types),
        byte_pieces=family is TokenizerFamily.UNIGRAM and not byte_alphabet,
        continuation=_continuation(tokenizer),
    )


def _stages(stage: JsonObject | None) -> Iterator[JsonObject]:
    """The stages of a normalizer or pre-tokenizer, sequences laid flat."""
    if stage is None:
        return
    if stage.get("type") == "Sequence":
        for inner in stage.get("normalizers", stage.get("pretokenizers", [])):
            yield from _stages(inner)
    else:
        yield stage


def _judge_normalizer(stage: JsonObject) -> None:
    match stage:
        case {"type": "NFC" | "ByteLevel"} | {"type": "Prepend", "prepend": "▁"}:
            return
        case {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}:
            return
        case {"type": "Replace", "pattern": pattern, "content": content}:
            raise _refusal(f"its normalizer replaces {pattern!r} by {content!r}")
        case {"type": kind}:
            raise _refusal(_LOSSY_NORMALIZERS.get(kind, f"nothing is known of its normalizer {kind!r}"))


def _judge_pre_tokenizer(stage: JsonObject) -> None:
    kind = stage["type"]
    if kind in _LOSSY_PRE_TOKENIZERS:
        raise _refusal(_LOSSY_PRE_TOKENIZERS[kind])
    if kind not in _LOSSLESS_PRE_TOKENIZERS:
        raise _refusal(f"nothing is known of its pre-tokenizer {kind!r}")
    if stage.get("behavior") == "Removed":
        raise _refusal(f"its pre-tokenizer {kind} drops what it splits at")
    if stage.get("replacement", SPACE_MARKER) != SPACE_MARKER:
        raise _refusal(f"it writes a space as {stage['replacement']!r}")


def _judge_model(model: JsonObject, byte_alphabet: bool) -> TokenizerFamily:
    kind = model.get("type") or ("BPE" if "merges" in model else "unknown")
    if kind in _LOSSY_MODELS:
        raise _refusal(_LOSSY_MODELS[kind])
    if kind not in {"BPE", "Unigram"}:
        raise _refusal(f"nothing is known of its model {kind!r}")
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise _refusal("it marks parts of words instead of the spaces between words")
    if not byte_alphabet and not model.get("byte_fallback"):
        raise _refusal("it has neither a byte alphabet nor byte fallback, so unknown characters are lost")
    if kind == "Unigram":
        return TokenizerFamily.UNIGRAM
    return TokenizerFamily.BYTE_LEVEL_BPE if byte_alphabet else TokenizerFamily.SENTENCEPIECE_BPE


def _refusal(reason: str) -> UnsupportedTokenizerError:
    return UnsupportedTokenizerError(f"this tokenizer cannot carry text without loss: {reason}")


def _continuation(tokenizer: JsonObject) -> JsonObject:
    model, added = tokenizer["model"], tokenizer.get("added_tokens", [])
    if model.get("type") == "Unigram":
        model, added = _without_special_pieces(model, added)
    return {
        **tokenizer,
        "truncation": None,
        "padding": None,
        "post_processor": None,
        "model": {**model, "dropout": None} if "dropout" in model else model,
        "added_tokens": [{**token, "lstrip": False, "rstrip": False} for token in added],
        "normalizer": _rewrite(tokenizer.get("normalizer"), _continue_normalizer),
        "pre_tokenizer": _rewrite(tokenizer.get("pre_tokenizer"), _continue_pre_tokenizer),
    }


def _without_special_pieces(model: JsonObject, added: list[JsonObject]) -> tuple[JsonObject, list[JsonObject]]:
    """Unigram finds any piece in a text, special ones too: give those a spelling that no text has."""
    special = {token["content"] for token in added if token.get("special") and byte_of(token["content"]) is None}
    pieces = [[f"{piece} \uffff" if piece in special else piece, score] for piece, score in model["vocab"]]
    inside = special & {piece for piece, _ in model["vocab"]}
    return {**model, "vocab": pieces}, [token for token in added if token["content"] not in inside]


def _rewrite(stage: JsonObject | None, change: Callable[[JsonObject], JsonObject | None]) -> JsonObject | None:
    """The stage with every inner stage changed; None drops one."""
    if stage is None or stage.get("type") != "Sequence":
        return stage and change(stage)
    key = "normalizers" if "normalizers" in stage else "pretokenizers"
    changed = (_rewrite(inner, change) for inner in stage[key])
    return {**stage, key: [inner for inner in changed if inner is not None]}


def _continue_normalizer(stage: JsonObject) -> JsonObject | None:
    return None if stage["type"] in {"NFC", "Prepend"} else stage


def _continue_pre_tokenizer(stage: JsonObject) -> JsonObject:
    changes: Mapping[str, Any] = {}
    if stage["type"] == "ByteLevel":
        changes = {"add_prefix_space": False}
    elif stage["type"] == "Metaspace":
        changes = {"prepend_scheme": "never"}
    return {key: value for key, value in {**stage, **changes}.items() if (stage["type"], key) != _OLD_PREFIX_FLAG}


_OLD_PREFIX_FLAG = ("Metaspace", "add_prefix_space")
"""Before prepend_scheme there was this; a file with both must agree with itself."""
