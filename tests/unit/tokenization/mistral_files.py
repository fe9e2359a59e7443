"""Real vocabularies from the ``mistral-common`` package, written as ``tokenizer.json``, and their own encoders."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import sentencepiece
import tiktoken

from draftmesh.tokenization import Tokenizer, tokenizer_from_files
from draftmesh.tokenization.byte_alphabet import BYTE_TO_CHAR
from tests.helpers.tokenizers import Document, files_of

_NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


@dataclass(frozen=True, slots=True)
class RealTokenizer:
    """A tokenizer of ours, and what the vocabulary's own library makes of a text."""

    tokenizer: Tokenizer
    reference: Callable[[str], list[int]]
    """Ids of a text; SentencePiece puts a space before it."""


@cache
def sentencepiece_v3() -> RealTokenizer:
    """Mistral's SentencePiece BPE vocabulary of 32,768."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(_data("mistral_instruct_tokenizer_240323.model.v3")))
    vocabulary = {model.id_to_piece(token): token for token in range(len(model))}
    special = [token for token in range(len(model)) if model.is_control(token) or model.is_unknown(token)]
    pieces = [token for token in range(len(model)) if token not in set(special) and not model.is_byte(token)]
    pieces.sort(key=lambda token: -model.get_score(token))
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    document = {
        "version": "1.0",
        "added_tokens": [_special(token, model.id_to_piece(token)) for token in special],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]},
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": vocabulary,
            "merges": _merges({model.id_to_piece(token): rank for rank, token in enumerate(pieces)}),
        },
    }
    return RealTokenizer(tokenizer_from_files(files_of(document, _NAMES)), model.encode)


@cache
def tekken() -> RealTokenizer:
    """Mistral's byte-level vocabulary of 131,072."""
    source = json.loads(_data("tekken_240911.json").read_bytes())
    config = source["config"]
    specials = config["default_num_special_tokens"]
    tokens = [
        base64.b64decode(entry["token_bytes"]) for entry in source["vocab"][: config["default_vocab_size"] - specials]
    ]
    names = ["<unk>", "<s>", "</s>", *(f"<SPECIAL_{token}>" for token in range(3, specials))]
    pieces = {"".join(BYTE_TO_CHAR[byte] for byte in data): rank for rank, data in enumerate(tokens)}
    split = {"type": "Split", "pattern": {"Regex": config["pattern"]}, "behavior": "Isolated", "invert": False}
    to_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    vocabulary = {name: token for token, name in enumerate([*names, *pieces])}
    document = {
        "version": "1.0",
        "added_tokens": [_special(token, name) for token, name in enumerate(names)],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, to_bytes]},
        "model": {"type": "BPE", "ignore_merges": True, "vocab": vocabulary, "merges": _merges(pieces)},
    }
    ranks = {data: rank for rank, data in enumerate(tokens)}
    own = tiktoken.Encoding("tekken", pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})
    return RealTokenizer(
        tokenizer_from_files(files_of(document, _NAMES)),
        lambda text: [rank + specials for rank in own.encode_ordinary(text)],
    )


def _data(name: str) -> Path:
    return Path(str(files("mistral_common") / "data" / name))


def _special(token: int, name: str) -> Document:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token, "content": name, **flags}


def _merges(ranks: Mapping[str, int]) -> list[list[str]]:
    """Every way to make a piece of two others, the most frequent piece first."""
    found = [
        (rank, ranks[piece[:cut]], ranks[piece[cut:]], piece[:cut], piece[cut:])
        for piece, rank in ranks.items()
        for cut in range(1, len(piece))
        if piece[:cut] in ranks and piece[cut:] in ranks
    ]
    return [[left, right] for *_, left, right in sorted(found)]
