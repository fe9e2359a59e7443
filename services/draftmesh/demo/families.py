"""The tokenizers of the demo models: three families that share no vocabulary, all lossless.

Lossless means: for every text of the corpus, the bytes of its tokens, one after the other, are the
bytes of the text. Nothing is normalised away, no space is added, and what no piece covers falls
back to bytes.
"""

from __future__ import annotations

import itertools
import json
import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

_SPACE_PIECE = "▁"
_BYTE_PIECES = [f"<0x{byte:02X}>" for byte in range(256)]

_BYTE_LEVEL_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""A word takes one character before it; a run of spaces leaves its last space to the word."""

_SENTENCE_PIECE_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|▁?[^\s▁\p{L}\p{N}]+[\r\n]*|▁*[\r\n]+|▁+(?=▁)|▁|\s+"
"""Much the same rule for texts whose spaces are already `▁`."""

_UNIGRAM_WORDS = r"▁?[\p{L}_]+|\p{N}+|▁?[^\s▁_\p{L}\p{N}]+|[\r\n]+|▁+(?=▁)|▁|\s+"
"""Another rule: whole identifiers and numbers are words, line ends stand alone."""

_HARD_EM_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Family:
    """A tokenizer family: how to train one, and how its end of text is spelled."""

    name: str
    end_of_text: str
    train: Callable[[Iterable[str], int], Tokenizer]


def train_byte_level(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Byte-level BPE in the manner of GPT-2 and Llama 3."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_BYTE_LEVEL_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=["<|end_of_text|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=24,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def train_sentence_piece(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """BPE with byte fallback in the manner of Llama 2 and Mistral, without their added space."""
    return _train_space_piece_bpe(texts, vocabulary_size, _SENTENCE_PIECE_WORDS)


def train_unigram(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Unigram (Kudo 2018) with byte fallback and no lossy normaliser.

    Pieces are seeded by BPE merges and their scores found by hard EM: log frequency in the most
    likely segmentation, repeated. The library's own trainer prunes ` name` in favour of a lone
    space before `name`, which is likely but makes poor tokens to draft with.
    """
    documents = list(texts)
    seed = _train_space_piece_bpe(documents, vocabulary_size, _UNIGRAM_WORDS)
    pieces = [piece for piece, _ in sorted(seed.get_vocab().items(), key=operator.itemgetter(1))]
    names = ["<pad>", "<unk>", "<eos>", *pieces[3:]]
    counts = _piece_counts(seed, documents)
    for _ in range(_HARD_EM_ROUNDS):
        tokenizer = _unigram(names, counts)
        counts = _piece_counts(tokenizer, documents)
    return _unigram(names, counts)


FAMILIES = {
    "target": Family("target", "<|end_of_text|>", train_byte_level),
    "drafter_sentencepiece": Family("drafter_sentencepiece", "</s>", train_sentence_piece),
    "drafter_unigram": Family("drafter_unigram", "<eos>", train_unigram),
}


def save_tokenizer(tokenizer: Tokenizer, family: Family, folder: Path, context_tokens: int) -> None:
    """Write tokenizer.json and tokenizer_config.json, loadable by AutoTokenizer."""
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=family.end_of_text,
        model_max_length=context_tokens,
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(folder)


def _use_space_pieces(tokenizer: Tokenizer, words: str) -> None:
    tokenizer.normalizer = normalizers.Replace(" ", _SPACE_PIECE)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(words), behavior="isolated")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE_PIECE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )


def _without_special_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """Byte pieces are plain vocabulary: spelled out in a text, `<0x41>` is six characters."""
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] not in _BYTE_PIECES]
    return Tokenizer.from_str(json.dumps(state))


def _unigram(names: Sequence[str], counts: Counter[int]) -> Tokenizer:
    """A Unigram tokenizer over `names`, scored by the logarithm of their smoothed counts."""
    total = counts.total() + 0.5 * len(names)
    scored = [(name, math.log((counts[token_id] + 0.5) / total)) for token_id, name in enumerate(names)]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=1, byte_fallback=True))
    _use_space_pieces(tokenizer, _UNIGRAM_WORDS)
    tokenizer.add_special_tokens(list(names[:3]))
    return tokenizer


def _piece_counts(tokenizer: Tokenizer, documents: Sequence[str]) -> Counter[int]:
    tokenizer.encode_special_tokens = True
    encodings = tokenizer.encode_batch(list(documents), add_special_tokens=False)
    return Counter(itertools.chain.from_iterable(encoding.ids for encoding in encodings))


def _train_space_piece_bpe(texts: Iterable[str], vocabulary_size: int, words: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    _use_space_pieces(tokenizer, words)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=["<unk>", "<s>", "</s>", *_BYTE_PIECES],
        limit_alphabet=128,
        max_token_length=24,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _without_special_bytes(tokenizer)
