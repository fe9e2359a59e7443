"""Two toy vocabularies that do not fit together, and language models that are tables: what the law suite runs on.

The target and the drafter cut the same bytes differently: merges of several bytes on one side only, a space that leads
a word here and stands alone there, a character that is one token here and two byte pieces there, ids with equal bytes,
special tokens without bytes or role, and rows of the target's head beyond its vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import torch
from torch import Tensor

from draftmesh.core.errors import InvalidTextError
from draftmesh.core.text import Role
from draftmesh.tokenization.vocabulary import Vocabulary

TARGET_ENTRIES: tuple[bytes | Role | None, ...] = (
    b"a",
    b"b",
    b"ab",
    b" a",
    "é".encode(),
    Role.EOS,
    None,
    b"a",  # a byte piece: the same bytes as id 0
    b"bab",
    b"\xc3",  # a byte piece: the beginning of id 4
    b"babab",
)
DRAFTER_ENTRIES: tuple[bytes | Role | None, ...] = (
    b"b",
    b"a",
    b"ba",
    b" ",
    b"\xc3",
    b"\xa9",
    Role.EOS,
    None,
    b"a",  # a byte piece: the same bytes as id 1
    b"ab",
    b"bab",
)
TARGET_FALLBACK = frozenset({7, 9})
DRAFTER_FALLBACK = frozenset({4, 5, 8})
PADDED_ROWS = 2
"""Rows of the target's head beyond its vocabulary."""

TARGET_PROMPT = (1, 3)
DRAFTER_PROMPT = (0, 3, 1)
_SPREAD = 1.2  # standard deviation of the logits


def toy_vocabulary(entries: Sequence[bytes | Role | None], fallback: frozenset[int]) -> Vocabulary:
    """The vocabulary of the entries: bytes, a role, or a special token that has neither."""
    return Vocabulary(
        [entry if isinstance(entry, bytes) else b"" for entry in entries],
        {token: entry for token, entry in enumerate(entries) if isinstance(entry, Role)},
        [token for token, entry in enumerate(entries) if entry is None],
        fallback,
    )


class GreedyEncoder:
    """A tokenizer that takes the longest token each time, byte pieces last; a ``core.protocols.TextEncoder``."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._ids: dict[bytes, int] = {}
        for token in sorted(range(len(vocabulary)), key=vocabulary.is_fallback):
            self._ids.setdefault(vocabulary.token_bytes(token), token)
        self._longest = max(map(len, self._ids))

    def encode_bytes(self, text: bytes) -> list[int]:
        """Ids of the text; raises InvalidTextError where no token fits."""
        ids: list[int] = []
        while text:
            length = next((n for n in range(self._longest, 0, -1) if text[:n] in self._ids and text[:n]), 0)
            if not length:
                raise InvalidTextError(f"no token begins {text!r}")
            ids.append(self._ids[text[:length]])
            text = text[length:]
        return ids

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of ``ids``."""
        return self._vocabulary.join(ids)


@dataclass(frozen=True)
class ToyModel:
    """A language model whose logits are a table of its last two tokens."""

    vocabulary: Vocabulary
    table: Tensor  # [contexts, rows of the head], float32
    prompt: tuple[int, ...]

    @property
    def head_rows(self) -> int:
        """Columns of the logits."""
        return self.table.shape[1]

    @cached_property
    def encoder(self) -> GreedyEncoder:
        """Its tokenizer."""
        return GreedyEncoder(self.vocabulary)

    def context(self, ids: Sequence[int]) -> int:
        """Row of the table after generated ids."""
        size = math.isqrt(len(self.table))
        before, last = (size - 1, size - 1, *ids)[-2:]
        return before * size + last

    def logits(self, contexts: Sequence[Sequence[int]]) -> Tensor:
        """Logits [contexts, rows of the head] after generated ids."""
        return self.table[[self.context(ids) for ids in contexts]]


def toy_model(
    vocabulary: Vocabulary,
    prompt: tuple[int, ...],
    *,
    seed: int,
    padded_rows: int = 0,
    raised: Mapping[int, float] = MappingProxyType({}),
) -> ToyModel:
    """A seeded random table: special tokens are rarer than others, and padding would be the likeliest of all.

    Args:
        vocabulary: Of the model.
        prompt: Its ids of the prompt.
        seed: Of the table.
        padded_rows: Rows of the head beyond the vocabulary; below 0: so many fewer rows than tokens.
        raised: What is added to the logits of some tokens.
    """
    size = len(vocabulary)
    table = torch.randn((size + 1) ** 2, size + padded_rows, generator=torch.Generator().manual_seed(seed)) * _SPREAD
    for token in range(min(size, size + padded_rows)):
        table[:, token] += raised.get(token, 0.0) if vocabulary.token_bytes(token) else raised.get(token, -0.3)
    table[:, size:] += 3.0
    return ToyModel(vocabulary, table, prompt)


def toy_target(seed: int = 11, raised: Mapping[int, float] = MappingProxyType({})) -> ToyModel:
    """The target."""
    vocabulary = toy_vocabulary(TARGET_ENTRIES, TARGET_FALLBACK)
    return toy_model(vocabulary, TARGET_PROMPT, seed=seed, padded_rows=PADDED_ROWS, raised=raised)


def toy_short_target(seed: int = 11) -> ToyModel:
    """A target whose head has no row for its last token, which the drafter says often: the model never says it."""
    vocabulary = toy_vocabulary((*TARGET_ENTRIES, b"ba"), TARGET_FALLBACK)
    return toy_model(vocabulary, TARGET_PROMPT, seed=seed, padded_rows=-1)


def toy_drafter(seed: int = 12, raised: Mapping[int, float] = MappingProxyType({})) -> ToyModel:
    """A drafter with another tokenizer."""
    return toy_model(toy_vocabulary(DRAFTER_ENTRIES, DRAFTER_FALLBACK), DRAFTER_PROMPT, seed=seed, raised=raised)


def toy_twin(seed: int = 13) -> ToyModel:
    """A drafter with the target's tokenizer and a head without padding."""
    return toy_model(toy_vocabulary(TARGET_ENTRIES, TARGET_FALLBACK), TARGET_PROMPT, seed=seed)
