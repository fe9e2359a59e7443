"""Small real tokenizers of every family, trained on the spot and kept for the session."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers as hf
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from draftmesh.core.endpoint import TokenizerFile
from draftmesh.tokenization import Tokenizer, tokenizer_from_files

CORPUS = (
    "The quick brown fox jumps over the lazy dog. It's what they've said, isn't it? I'll go; we'd stay.\n",
    "def encode(self, text: str) -> list[int]:\n    return [self.table[c] for c in text]\n\n\n",
    "class Parser:\n    def __init__(self):\n        self.items = {}\n\n    def parse(self, line):\n        pass\n",
    "Numbers: 1 22 333 4444 55555, 3.14159, 2024-05-06.   Many   spaces\t\tand tabs.\r\n",
    "Les élèves français préfèrent le café crème à l'été. Ça va? Où êtes-vous né?\n",
    "今天天气很好，我们一起去公园散步。今天我们很高兴。日本語の文章もあります。東京は大きい。\n",
    "Привет, как дела? Сегодня хорошая погода. 안녕하세요 반갑습니다.\n",
    "Smile 🙂🙂 and 👍👍 or 😀😀😀; arrows → ← and maths ∑∑ ≤ ≥.\n",
    "HTTPServer, parseJSON, camelCase, snake_case and kebab-case; x == y && a != b || !c;\n",
)
"""Prose, code, numbers, accents, CJK, emoji: enough for merges within and across characters."""

_LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_WORDS = _LLAMA3_WORDS.replace(r"\p{N}{1,3}", r"\p{N}")
_GPT4O_WORDS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BYTE_PIECES = [f"<0x{byte:02X}>" for byte in range(256)]

Document = dict[str, Any]
"""A parsed tokenizer.json, free to be edited by a test."""


def _document(tokenizer: hf.Tokenizer) -> Document:
    document: Document = json.loads(tokenizer.to_str())
    return document


def _train_byte_level(pre_tokenizer: pre_tokenizers.PreTokenizer, special: list[str], size: int) -> hf.Tokenizer:
    tokenizer = hf.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.add_special_tokens(special)
    return tokenizer


def _split_then_bytes(words: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(hf.Regex(words), behavior="isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _gpt2(*, add_prefix_space: bool = False) -> Document:
    words = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    return _document(_train_byte_level(words, ["<|endoftext|>"], 700))


def _llama3() -> Document:
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|reserved_0|>"]
    tokenizer = _train_byte_level(_split_then_bytes(_LLAMA3_WORDS), special, 800)
    bos = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
    tokenizer.post_processor = processors.TemplateProcessing(single=[bos[0], "$A"], special_tokens=[bos])
    document = _document(tokenizer)
    document["model"]["ignore_merges"] = True
    return document


def _qwen() -> Document:
    tokenizer = _train_byte_level(_split_then_bytes(_QWEN_WORDS), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], 760)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens(
        [hf.AddedToken("<tool_call>", normalized=False), hf.AddedToken("</tool_call>", normalized=False)]
    )
    return _document(tokenizer)


def _gpt4o() -> Document:
    return _document(_train_byte_level(_split_then_bytes(_GPT4O_WORDS), ["<|endoftext|>"], 820))


def _train_sentencepiece(size: int) -> Document:
    """BPE pieces with byte fallback, trained on words that start with their space; the pipeline is the caller's."""
    tokenizer = hf.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="always", split=False),
            pre_tokenizers.Split(hf.Regex(r"▁*[^▁\s]+|\n+|▁+|\s+"), behavior="isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<unk>", "<s>", "</s>", *_BYTE_PIECES]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    document = _document(tokenizer)
    document["added_tokens"] = document["added_tokens"][:3]
    document["pre_tokenizer"] = None
    return document


def _with_bos(document: Document) -> Document:
    document["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
    return document


def _llama2() -> Document:
    document = _with_bos(_train_sentencepiece(800))
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    document["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]}
    return document


def _mistral(*, split: bool = False) -> Document:
    document = _with_bos(_train_sentencepiece(850))
    document["pre_tokenizer"] = {
        "type": "Metaspace",
        "replacement": "▁",
        "prepend_scheme": "first",
        "split": split,
    }
    return document


def _gemma() -> Document:
    document = _with_bos(_train_sentencepiece(900))
    document["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    document["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"String": " "},
        "behavior": "MergedWithPrevious",
        "invert": False,
    }
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    pieces = [piece for piece in ("\n\n", "▁▁", "▁▁▁▁") if piece in document["model"]["vocab"]]
    document["added_tokens"] += [
        {"id": document["model"]["vocab"][piece], "content": piece, **flags} for piece in pieces
    ]
    size = len(document["model"]["vocab"])
    turns = ("<start_of_turn>", "<end_of_turn>")
    document["added_tokens"] += [
        {"id": size + index, "content": turn, **flags, "special": True} for index, turn in enumerate(turns)
    ]
    return document


def _unigram() -> Document:
    tokenizer = hf.Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    special = ["<pad>", "<unk>", "<eos>", *_BYTE_PIECES]
    trainer = trainers.UnigramTrainer(vocab_size=800, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    document = _document(tokenizer)
    document["model"]["byte_fallback"] = True
    document["model"]["unk_id"] = 1
    document["added_tokens"] = document["added_tokens"][:3]
    return document


def _wordpiece() -> Document:
    tokenizer = hf.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _document(tokenizer)


def _t5() -> Document:
    document = _unigram()
    document["model"]["byte_fallback"] = False
    document["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, _collapse_spaces()]}
    return document


def _collapse_spaces() -> Document:
    return {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}


def _bpe_without_bytes() -> Document:
    document = _mistral()
    document["model"]["byte_fallback"] = False
    return document


_BUILDERS: dict[str, Callable[[], Document]] = {
    "gpt2": _gpt2,
    "gpt2-prefix": lambda: _gpt2(add_prefix_space=True),
    "llama3": _llama3,
    "qwen": _qwen,
    "gpt4o": _gpt4o,
    "llama2": _llama2,
    "mistral": _mistral,
    "mistral-split": lambda: _mistral(split=True),
    "gemma": _gemma,
    "unigram": _unigram,
    "wordpiece": _wordpiece,
    "t5": _t5,
    "bpe-without-bytes": _bpe_without_bytes,
}

_CONFIGS: dict[str, Document] = {
    "gpt2": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"},
    "gpt2-prefix": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
    "llama3": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
    "qwen": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "add_bos_token": False},
    "gpt4o": {"eos_token": "<|endoftext|>"},
    "llama2": {
        "bos_token": {"__type": "AddedToken", "content": "<s>"},
        "eos_token": {"__type": "AddedToken", "content": "</s>"},
        "unk_token": {"__type": "AddedToken", "content": "<unk>"},
    },
    "mistral": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True},
    "mistral-split": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "gemma": {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True},
    "unigram": {"eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"},
}

BYTE_LEVEL = ("gpt2", "gpt2-prefix", "llama3", "qwen", "gpt4o")
"""Byte-level BPE."""

SENTENCEPIECE = ("llama2", "mistral", "mistral-split", "gemma")
"""SentencePiece BPE with byte fallback."""

ACCEPTED = (*BYTE_LEVEL, *SENTENCEPIECE, "unigram")
"""Every tokenizer that keeps all bytes."""

REFUSED = ("wordpiece", "t5", "bpe-without-bytes")
"""Tokenizers that lose bytes."""


@cache
def _trained(name: str) -> str:
    return json.dumps(_BUILDERS[name]())


def tokenizer_document(name: str) -> Document:
    """A fresh copy of the parsed ``tokenizer.json`` of one of ``ACCEPTED`` or ``REFUSED``."""
    document: Document = json.loads(_trained(name))
    return document


def files_of(document: Document, names: Document | None = None, /, **others: Document) -> tuple[TokenizerFile, ...]:
    """A tokenizer's files: ``names`` is its tokenizer_config, ``others`` are more JSON files by name."""
    documents = {"tokenizer": document, "tokenizer_config": names or {}, **others}
    return tuple(TokenizerFile(f"{name}.json", json.dumps(content).encode()) for name, content in documents.items())


def tokenizer_files(name: str) -> tuple[TokenizerFile, ...]:
    """The files of one of ``ACCEPTED`` or ``REFUSED``."""
    return files_of(tokenizer_document(name), _CONFIGS.get(name))


@cache
def small_tokenizer(name: str) -> Tokenizer:
    """One of ``ACCEPTED``, loaded; the same object all session long."""
    return tokenizer_from_files(tokenizer_files(name))


def write_tokenizer(name: str, folder: Path) -> Path:
    """Write a tokenizer's files into ``folder``, as a model's folder has them."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in tokenizer_files(name):
        (folder / file.name).write_bytes(file.data)
    return folder
