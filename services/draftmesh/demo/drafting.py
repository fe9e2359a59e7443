"""A one-sequence text drafter for offline measurement, with and without token healing.

Token healing: committed text often ends inside what the drafter would have made one token (the
target's token ended there, the drafter's would not). The drafter then takes back up to a few of
its last tokens, and lets longer tokens that begin with their bytes compete with the tokens that
would follow them, each at its own probability. One forward pass gives all the rows this needs.
A longer token that the target has too is no candidate: had the target meant it, it would have said
it in one piece, and its token would not have ended where it did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from draftmesh.demo.noise import bytes_key, gumbel, token_keys
from draftmesh.demo.pieces import Pieces, load_pieces
from draftmesh.demo.sampling import RowDecoder

Row = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Draft:
    """Drafted bytes; whether the text ends after them; and how many drafter tokens they took."""

    text: bytes
    ended: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class _Choice:
    """A token to draft: the bytes it adds, and how many context tokens it takes the place of."""

    token_id: int
    added: bytes
    replaced: int


class TextDrafter:
    """Drafts text after any committed text; its KV cache survives whatever stayed the same."""

    def __init__(self, folder: Path, *, max_tokens: int, healed_tokens: int, target_spelled: frozenset[bytes]) -> None:
        self.pieces: Pieces = load_pieces(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._decoder = RowDecoder(model, rows=1, max_tokens=max_tokens, dtype=torch.float32)
        self._healed_tokens = healed_tokens
        self._target_spelled = target_spelled
        self._keys = token_keys(self.pieces)
        self._cached: list[int] = []
        self._barred = sorted(self.pieces.special_ids - {self.pieces.end_of_text_id})

    def draft(
        self,
        committed: str,
        *,
        offset: int,
        noise_key: int | None,
        enough: Callable[[bytes], bool],
        most_tokens: int,
    ) -> Draft:
        """Draft after `committed` until `enough(draft)`; greedy without a noise key.

        `offset` is the byte offset of the draft's first byte, which keys the noise.
        """
        context = self.pieces.encode(committed)
        text, tokens = b"", 0
        healable = min(self._healed_tokens, len(context) - 1)
        while tokens < most_tokens and not enough(text):
            rows = self._rows_after(context, healable + 1)
            choice = self._choose(context, rows, noise_key, offset + len(text))
            healable = 0
            tokens += 1
            if choice.token_id == self.pieces.end_of_text_id:
                return Draft(text, ended=True, tokens=tokens)
            context = [*context[: len(context) - choice.replaced], choice.token_id]
            text += choice.added
        return Draft(text, ended=False, tokens=tokens)

    def _rows_after(self, context: list[int], count: int) -> list[Row]:
        """Log probabilities after each of the last `count` tokens of `context`, last one last."""
        same = _common_prefix_length(self._cached, context)
        start = min(same, len(context) - count)
        self._decoder.rewind(start)
        logits = self._decoder.all_logits(torch.tensor([context[start:]]), last=count)[0].double()
        logits[:, self._barred] = -math.inf
        self._cached = context
        return list(torch.log_softmax(logits, dim=-1).numpy())

    def _choose(self, context: list[int], rows: list[Row], noise_key: int | None, offset: int) -> _Choice:
        scores = rows[-1] if noise_key is None else rows[-1] + gumbel(self._keys, noise_key, offset)
        best = int(scores.argmax())
        choice, best_score = _Choice(best, self.pieces.spelled[best], replaced=0), scores[best]
        behind = 0.0  # log probability of the replaced tokens: what staying with them has cost
        for replaced in range(1, len(rows)):
            row = rows[-1 - replaced]
            behind += row[context[-replaced]]
            prefix = self.pieces.text_bytes(context[-replaced:])
            ids = self._own_longer(prefix)
            if not prefix or not ids:
                continue
            score, index = self._best_longer(row[ids] - behind, ids, len(prefix), noise_key, offset)
            if score > best_score:
                added = self.pieces.spelled[ids[index]][len(prefix) :]
                choice, best_score = _Choice(ids[index], added, replaced), score
        return choice

    def _own_longer(self, prefix: bytes) -> list[int]:
        """Tokens that begin with `prefix` and go on, and that the target does not have."""
        longer = self.pieces.longer_than(prefix)
        return [token_id for token_id in longer if self.pieces.spelled[token_id] not in self._target_spelled]

    def _best_longer(
        self, scores: Row, ids: list[int], skip: int, noise_key: int | None, offset: int
    ) -> tuple[float, int]:
        """The best of `ids` by what they add: their noise is that of the added bytes."""
        if noise_key is not None:
            added = (self.pieces.spelled[token_id][skip:] for token_id in ids)
            scores = scores + gumbel(_keys_of(added), noise_key, offset)
        index = int(scores.argmax())
        return float(scores[index]), index


def _keys_of(strings: Iterable[bytes]) -> NDArray[np.uint64]:
    return np.array([bytes_key(string) for string in strings], dtype=np.uint64)


def _common_prefix_length(left: list[int], right: list[int]) -> int:
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))
