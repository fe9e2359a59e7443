"""From a model's logits to the processed distribution p: penalties, temperature, top-k, top-p, min-p, in this order.

Scores are float64: log probabilities up to a constant of the row, relative to its most likely token, which has 0.
Float64 adds no near tie to those of the logits themselves (a model's float32 rows differ by about 1e-4 with the shape
of the batch). Where tokens tie, the lower id comes first, so a cut through a tie keeps the lower ids.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

import torch
from torch import Tensor

from draftmesh.core.errors import InternalError
from draftmesh.core.sampling import SamplingParams
from draftmesh.decoding.history import DrawRow

_NARROW_TOKENS = 512
"""Most supports of top-p and min-p have fewer tokens, so that no row need be sorted whole."""

_WIDENING = 16
"""Factor by which the search for a larger support widens."""


@dataclass(frozen=True, slots=True)
class Support:
    """Tokens of each row in order of likelihood; the processed distribution is the softmax of ``scores``."""

    ids: Tensor  # [rows, width], int64
    scores: Tensor  # [rows, width], float64; -inf for tokens outside p's support


def is_truncated(params: SamplingParams) -> bool:
    """Whether p leaves out tokens."""
    return params.top_k > 0 or params.top_p < 1.0 or params.min_p > 0.0


def require_finite(best: Tensor) -> None:
    """Refuse rows that no distribution can be made of.

    Args:
        best: The largest logit of each row; NaN anywhere in a row makes it NaN.

    Raises:
        InternalError: one is NaN or infinite.
    """
    if not all(map(math.isfinite, best.flatten().tolist())):  # a few numbers: cheaper than operations on them
        raise InternalError("the model's logits are not finite")


def processed_scores(
    logits: Tensor,  # [rows, tokens], any floating type; not changed
    rows: Sequence[DrawRow],
) -> Tensor:
    """Penalties and temperature, before any cut: a float64 copy [rows, tokens]; greedy rows are at temperature 1.

    Raises:
        InternalError: a row's largest logit is not finite.
    """
    scores = logits.to(torch.float64, copy=True)
    _penalise(scores, rows)
    best = scores.amax(dim=-1, keepdim=True)
    require_finite(best)
    scores.sub_(best)
    temperatures = [row.sampling.temperature or 1.0 for row in rows]
    if any(temperature != 1.0 for temperature in temperatures):
        scores.div_(torch.tensor(temperatures, dtype=torch.float64, device=scores.device).unsqueeze(1))
    return scores


def processed_log_probs(
    logits: Tensor,  # [rows, tokens], any floating type; not changed
    rows: Sequence[DrawRow],
) -> Tensor:
    """Log p over the whole vocabulary, float64 [rows, tokens], -inf outside the support; T = 0 as T = 1, uncut."""
    scores = processed_scores(logits, rows)
    _cut_whole(scores, rows)
    return torch.log_softmax(scores, dim=-1)


def target_law(
    logits: Tensor,  # [rows, tokens], any floating type; not changed
    rows: Sequence[DrawRow],
) -> Tensor:
    """The law p itself, float64 [rows, tokens]; a greedy row has all its mass on the likeliest token."""
    scores = processed_scores(logits, rows)
    greedy = [index for index, row in enumerate(rows) if row.sampling.temperature == 0.0]
    best = scores[greedy].argmax(dim=-1)  # before the softmax, which could make scores equal that are not
    if len(greedy) < len(rows):
        _cut_whole(scores, rows)
        scores = torch.softmax(scores, dim=-1)
    scores[greedy] = 0.0
    scores[greedy, best] = 1.0
    return scores


def leading(
    scores: Tensor,  # [rows, tokens]
    width: int,
    floor: float = float("-inf"),
) -> tuple[Tensor, Tensor]:
    """The first ``width`` tokens by falling score, then rising id: values and ids, each [rows, min(width, tokens)].

    Which of the tokens with a score of ``floor`` or less are among them is left open: finding out costs a sort.
    """
    if width >= scores.shape[-1]:
        ordered = torch.sort(scores, dim=-1, descending=True, stable=True)
        return ordered.values, ordered.indices
    top = torch.topk(scores, width + 1, dim=-1)
    ids = top.indices.sort(dim=-1).values
    values, order = scores.gather(-1, ids).sort(dim=-1, descending=True, stable=True)
    ids = ids.gather(-1, order)
    tied = (values[:, -1] == values[:, -2]) & (values[:, -1] > floor)
    for index in tied.nonzero().flatten().tolist():  # topk chose among equals as it liked
        ordered = torch.sort(scores[index], descending=True, stable=True)
        values[index], ids[index] = ordered.values[: width + 1], ordered.indices[: width + 1]
    return values[:, :width], ids[:, :width]


def supports(
    scores: Tensor,  # [rows, tokens], float64, from processed_scores
    params: Sequence[SamplingParams],
) -> Iterator[tuple[list[int], Support]]:
    """The supports of rows with top-k, top-p or min-p, in groups of row indices: narrow ones first, then wider."""
    remaining = list(range(len(params)))
    width = max((p.top_k + 1 if p.top_k else _NARROW_TOKENS for p in params), default=1)
    while remaining:
        width = min(width, scores.shape[-1])
        support, sizes = _cut(scores[remaining], [params[index] for index in remaining], width)
        whole = [size < width or width == scores.shape[-1] for size in sizes]
        if any(whole):
            selected = torch.tensor(whole, device=scores.device)
            yield list(compress(remaining, whole)), Support(support.ids[selected], support.scores[selected])
        remaining = [index for index, found in zip(remaining, whole, strict=True) if not found]
        width *= _WIDENING


def _cut_whole(
    scores: Tensor,  # [rows, tokens], float64, from processed_scores; changed in place
    rows: Sequence[DrawRow],
) -> None:
    """Set scores outside the support to -inf; greedy rows stay uncut."""
    cut = [index for index, row in enumerate(rows) if row.sampling.temperature > 0.0 and is_truncated(row.sampling)]
    for indices, support in supports(scores[cut], [rows[index].sampling for index in cut]):
        for position, index in enumerate(indices):
            scores[cut[index]].fill_(float("-inf")).scatter_(0, support.ids[position], support.scores[position])


def _cut(scores: Tensor, params: Sequence[SamplingParams], width: int) -> tuple[Support, list[int]]:
    """The supports as far as ``width`` tokens show them, and their sizes; a size of ``width`` may be cut short.

    Each of the three rules keeps a head of the stable order, so together they keep the shortest one.
    """
    values, ids = leading(scores, width)
    top_k, top_p, min_p = _columns(params, scores.device)
    weights = values.exp()
    in_top_k = torch.arange(width, device=scores.device) < top_k
    weights = weights.where(in_top_k, 0.0)
    mass = torch.where(torch.isinf(top_k), scores.exp().sum(dim=-1, keepdim=True), weights.sum(dim=-1, keepdim=True))
    mass_before = torch.nn.functional.pad(weights.cumsum(dim=-1)[:, :-1], (1, 0))
    kept = in_top_k & (mass_before < top_p * mass) & (weights >= min_p)
    return Support(ids, values.where(kept, float("-inf"))), kept.sum(dim=-1).tolist()


def _columns(params: Sequence[SamplingParams], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """top-k, top-p and min-p as float64 [rows, 1]; infinity where a rule is off."""
    table = [
        (float(p.top_k) if p.top_k else float("inf"), p.top_p if p.top_p < 1.0 else float("inf"), p.min_p)
        for p in params
    ]
    top_k, top_p, min_p = torch.tensor(table, dtype=torch.float64, device=device).unsqueeze(-1).unbind(dim=1)
    return top_k, top_p, min_p


def _penalise(
    scores: Tensor,  # [rows, tokens], changed in place
    rows: Sequence[DrawRow],
) -> None:
    """Repetition (CTRL, Keskar et al. 2019, arXiv 1909.05858), frequency and presence penalties."""
    penalised = [(index, row.penalties, row.sampling) for index, row in enumerate(rows) if row.penalties]
    ids, counts = array("q"), array("q")
    for _, penalties, _ in penalised:
        ids += penalties.ids
        counts += penalties.output_counts
    if not ids:
        return
    lengths = torch.tensor([len(penalties.ids) for _, penalties, _ in penalised], device=scores.device)
    table = [(p.repetition_penalty, p.frequency_penalty, p.presence_penalty) for _, _, p in penalised]
    params = torch.tensor(table, dtype=scores.dtype, device=scores.device).repeat_interleave(
        lengths, dim=0, output_size=len(ids)
    )
    repetition, frequency, presence = params.unbind(dim=1)
    row_of = torch.tensor([index for index, _, _ in penalised], device=scores.device)
    row_of = row_of.repeat_interleave(lengths, output_size=len(ids))
    token = torch.frombuffer(ids, dtype=torch.int64).to(scores.device)
    count = torch.frombuffer(counts, dtype=torch.int64).to(scores)
    known = token < scores.shape[-1]  # a draft may have tokens that the model has no row for
    seen = scores[row_of, token.where(known, 0)]
    seen = torch.where(seen > 0, seen / repetition, seen * repetition)
    penalised_scores = seen - count * frequency - count.clamp(max=1) * presence
    scores[row_of[known], token[known]] = penalised_scores[known]
