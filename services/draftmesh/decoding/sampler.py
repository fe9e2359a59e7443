"""Draws tokens for many rows at once, each under its own parameters and its own keyed noise.

A draw is ``argmax(log p + g)`` (the Gumbel-max trick), so no row is normalised unless its log probabilities are asked
for. Rows are grouped by the work they need: greedy rows make no noise, rows cut by top-k, top-p or min-p make noise
for their support alone.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import SamplingParams
from draftmesh.core.verify import TokenLogprobs
from draftmesh.decoding.history import DrawRow
from draftmesh.decoding.logits import (
    Support,
    is_truncated,
    leading,
    processed_log_probs,
    processed_scores,
    require_finite,
    supports,
    target_law,
)
from draftmesh.decoding.noise import add_gumbel, key_tensor, word_tensor
from draftmesh.decoding.noise_key import NoisePosition

_CPU_BLOCK_ELEMENTS = 1 << 17  # float64 work arrays that stay in a core's cache
_DEVICE_BLOCK_ELEMENTS = 1 << 24  # bounds the memory of the work arrays


@dataclass(frozen=True, slots=True)
class Draws:
    """One entry a row."""

    ids: list[int]
    logprobs: list[TokenLogprobs | None]
    """None where the row's sampling does not ask for them."""

    ranks: list[list[int]]
    """The drawn token, and after it those that the row would draw if all before them were ruled out: as many as were
    asked for, or as are possible."""


class _Kind(enum.Enum):
    GREEDY = enum.auto()
    GREEDY_PROCESSED = enum.auto()  # with penalties or log probabilities
    FULL = enum.auto()  # noise over the whole vocabulary
    TRUNCATED = enum.auto()


class Sampler:
    """Draws from the processed distribution of a model's logits."""

    def __init__(self, table: TokenTable, device: torch.device | str, vocab_rows: int) -> None:
        """Hash the vocabulary's keys.

        Args:
            table: The vocabulary; rows of the model's head beyond it are padding and never drawn.
            device: Where the logits are.
            vocab_rows: Columns of the logits.
        """
        self._device = torch.device(device)
        self._vocab_rows = vocab_rows
        self._keys = key_tensor(table, self._device)[:vocab_rows]
        elements = _CPU_BLOCK_ELEMENTS if self._device.type == "cpu" else _DEVICE_BLOCK_ELEMENTS
        self.block_rows = max(1, elements // max(1, len(self._keys)))
        """Rows whose work arrays are small enough to be worked on together."""

    def draw(
        self,
        logits: Tensor,  # [rows, vocab_rows], float32 or narrower; not changed
        rows: Sequence[DrawRow],
        *,
        ranks: int = 1,
    ) -> Draws:
        """Draw one token for each row, and find the ``ranks - 1`` that it would draw next.

        A row that is cut by top-k, top-p or min-p ranks its support. Of equally good tokens the lowest id comes first.

        Raises:
            InternalError: a row's largest logit is not finite.
        """
        assert logits.shape == (len(rows), self._vocab_rows), "one row of logits for each draw"
        tokens = logits[:, : len(self._keys)]
        result = Draws([0] * len(rows), [None] * len(rows), [[]] * len(rows))
        for kind, indices in self._blocks(rows):
            chosen = tokens if len(indices) == len(rows) else tokens[indices]
            _scatter(result, indices, self._draw_block(kind, chosen, [rows[index] for index in indices], ranks))
        return result

    def draw_from(
        self,
        weights: Tensor,  # [rows, tokens], float64, not negative: the law of each row up to a factor; not changed
        positions: Sequence[NoisePosition],
    ) -> list[int]:
        """Draw one token for each row of weights, with the noise of its position."""
        drawn: list[int] = []
        for start in range(0, len(positions), self.block_rows):
            words = word_tensor(positions[start : start + self.block_rows], self._device)
            scores = weights[start : start + self.block_rows].log()
            drawn += add_gumbel(scores, self._keys, words).argmax(dim=-1).tolist()
        return drawn

    def logprobs(
        self,
        logits: Tensor,  # [rows, vocab_rows]
        rows: Sequence[DrawRow],
        ids: Sequence[int],
    ) -> list[TokenLogprobs | None]:
        """Log probabilities of tokens that were not drawn by :meth:`draw`, where the rows ask for them."""
        if all(row.sampling.logprobs is None for row in rows):
            return [None] * len(rows)
        scores = processed_log_probs(logits[:, : len(self._keys)], rows)
        return _logprobs_of_rows(scores, torch.tensor(ids, device=scores.device), rows)

    def law(
        self,
        logits: Tensor,  # [rows, vocab_rows]
        rows: Sequence[DrawRow],
    ) -> Tensor:
        """The processed distribution p of each row over the vocabulary, float64 [rows, tokens]."""
        return target_law(logits[:, : len(self._keys)], rows)

    def _blocks(self, rows: Sequence[DrawRow]) -> Iterator[tuple[_Kind, list[int]]]:
        """Row indices of one kind each, few enough for the work arrays."""
        groups: dict[_Kind, list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(_kind(row), []).append(index)
        for kind, indices in groups.items():
            step = len(indices) if kind is _Kind.GREEDY else self.block_rows
            for start in range(0, len(indices), step):
                yield kind, indices[start : start + step]

    def _draw_block(self, kind: _Kind, logits: Tensor, rows: Sequence[DrawRow], ranks: int) -> Draws:
        if kind is _Kind.GREEDY:
            best, ids = _best(logits, ranks)
            require_finite(best[:, 0])
            return Draws(ids[:, 0].tolist(), [None] * len(rows), _possible(ids, best))
        scores = processed_scores(logits, rows)
        if kind is _Kind.TRUNCATED:
            return self._draw_truncated(scores, rows, ranks)
        noisy = self._with_noise(scores, rows) if kind is _Kind.FULL else scores
        best, ids = _best(noisy, ranks)
        return Draws(ids[:, 0].tolist(), _logprobs_of_rows(scores, ids[:, 0], rows), _possible(ids, best))

    def _with_noise(self, scores: Tensor, rows: Sequence[DrawRow]) -> Tensor:
        """Overwrites the scores, unless log probabilities are asked for."""
        own = scores.clone() if any(row.sampling.logprobs is not None for row in rows) else scores
        return add_gumbel(own, self._keys, word_tensor([row.position for row in rows], self._device))

    def _draw_truncated(self, scores: Tensor, rows: Sequence[DrawRow], ranks: int) -> Draws:
        result = Draws([0] * len(rows), [None] * len(rows), [[]] * len(rows))
        for indices, support in supports(scores, [row.sampling for row in rows]):
            selected = [rows[index] for index in indices]
            words = word_tensor([row.position for row in selected], self._device)
            best, places = _best(add_gumbel(support.scores.clone(), self._keys[support.ids], words), ranks)
            ids, chosen = support.ids.gather(-1, places), support.scores.gather(-1, places[:, :1])
            logprobs = _logprobs(support.scores.logsumexp(dim=-1), chosen, support, selected)
            _scatter(result, indices, Draws(ids[:, 0].tolist(), logprobs, _possible(ids, best)))
        return result


def _best(scores: Tensor, ranks: int) -> tuple[Tensor, Tensor]:
    """The greatest scores of each row, falling, and their places; [rows, ranks] both, or fewer columns."""
    if ranks == 1:
        return scores.max(dim=-1, keepdim=True)
    return leading(scores, ranks)


def _scatter(result: Draws, indices: Sequence[int], drawn: Draws) -> None:
    """Put the entries of ``drawn`` where they belong."""
    for place, index in enumerate(indices):
        result.ids[index], result.logprobs[index], result.ranks[index] = (
            drawn.ids[place],
            drawn.logprobs[place],
            drawn.ranks[place],
        )


def _possible(
    ids: Tensor,  # [rows, count]
    scores: Tensor,  # [rows, count], falling
) -> list[list[int]]:
    """Each row's ids, without those that are impossible; the first is never."""
    if ids.shape[1] == 1:
        return cast("list[list[int]]", ids.tolist())
    pairs = zip(ids.tolist(), scores.isneginf().logical_not().sum(dim=-1).tolist(), strict=True)
    return [own[:possible] for own, possible in pairs]


def _kind(row: DrawRow) -> _Kind:
    params: SamplingParams = row.sampling
    if params.temperature > 0.0:
        return _Kind.TRUNCATED if is_truncated(params) else _Kind.FULL
    return _Kind.GREEDY_PROCESSED if params.has_penalties or params.logprobs is not None else _Kind.GREEDY


def _logprobs_of_rows(
    scores: Tensor,  # [rows, tokens]
    ids: Tensor,  # [rows]
    rows: Sequence[DrawRow],
) -> list[TokenLogprobs | None]:
    """Of one token of each row, where they are asked for."""
    asked = [index for index, row in enumerate(rows) if row.sampling.logprobs is not None]
    logprobs: list[TokenLogprobs | None] = [None] * len(rows)
    if asked:
        selected = [rows[index] for index in asked]
        own = scores[asked]
        values, top_ids = leading(own, max(1, *(row.sampling.logprobs or 0 for row in selected)))
        chosen = own.gather(-1, ids[asked].unsqueeze(-1))
        found = _logprobs(own.logsumexp(dim=-1), chosen, Support(top_ids, values), selected)
        for index, entry in zip(asked, found, strict=True):
            logprobs[index] = entry
    return logprobs


def _logprobs(
    normaliser: Tensor,  # [rows]
    chosen: Tensor,  # [rows, 1]
    top: Support,
    rows: Sequence[DrawRow],
) -> list[TokenLogprobs | None]:
    """Natural logarithms under p of the drawn token and of the most likely ones; tokens outside p are left out.

    At T = 0 they are those of the penalised logits at temperature 1.
    """
    found: list[TokenLogprobs | None] = []
    for index, row in enumerate(rows):
        count = row.sampling.logprobs
        if count is None:
            found.append(None)
            continue
        constant = normaliser[index].item()
        pairs = zip(top.ids[index, :count].tolist(), top.scores[index, :count].tolist(), strict=True)
        likely = tuple((token, score - constant) for token, score in pairs if score > float("-inf"))
        found.append(TokenLogprobs(chosen[index].item() - constant, likely))
    return found
