"""Noise that is used twice, tokens that are none, and ends that are missed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor

from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import Method, SamplingParams
from draftmesh.decoding import proposal as proposal_module
from draftmesh.decoding import sampler as sampler_module
from draftmesh.decoding.history import History
from draftmesh.decoding.judge import Judge
from draftmesh.decoding.noise import key_tensor
from draftmesh.decoding.stopping import Settled, StopTracker
from tests.helpers import toy_sessions
from tests.helpers.toy_language import PADDED_ROWS, TARGET_ENTRIES, TARGET_FALLBACK, ToyModel, toy_vocabulary
from tests.helpers.toy_sessions import Play, ToyDrafter, toy_judge
from tests.lossless import cells as cells_module
from tests.lossless.planted.planting import replaced, together


def _one_key_for_equal_bytes(table: TokenTable, device: torch.device) -> Tensor:
    keys = key_tensor(table, device)
    first: dict[bytes, int] = {}
    for token in range(len(table)):
        data = table.token_bytes(token)
        if data:
            keys[token] = keys[first.setdefault(data, token)]
    return keys


def _uncounted(_history: History, offset: int, _zero_byte_tokens: int, token: int) -> tuple[int, int]:
    """Where the next draw happens, if tokens without bytes did not count."""
    return offset + len(_history._table.token_bytes(token)), 0


class _PaddedModel(ToyModel):
    """Takes every row of its head for a token."""

    def context(self, ids: Sequence[int]) -> int:
        """As if the last true token had been said in place of padding."""
        return super().context([min(token, len(TARGET_ENTRIES) - 1) for token in ids])


def _play_padded(
    target: ToyModel, method: Method, sampling: SamplingParams, drafter: ToyDrafter, _judge: Judge
) -> Play:
    vocabulary = toy_vocabulary((*TARGET_ENTRIES, *[None] * PADDED_ROWS), TARGET_FALLBACK)
    padded = _PaddedModel(vocabulary, target.table, target.prompt)
    return Play(padded, method, sampling, drafter, toy_judge(padded))


class _EndingWithTheRound(StopTracker):
    """Looks for the end at the last token of a round alone."""

    def settle(self, ids: Iterable[int]) -> Settled:
        """Everything, whatever came before the last token."""
        ids = list(ids)
        self._ignore_eos = True
        before = super().settle(ids[:-1])
        self._ignore_eos = False
        last = super().settle(ids[-1:])
        return replace(last, tokens=(*before.tokens, *last.tokens))


def shares_keys() -> AbstractContextManager[None]:
    """Ids with equal bytes share one key."""
    return together(
        replaced(sampler_module, "key_tensor", _one_key_for_equal_bytes),
        replaced(proposal_module, "key_tensor", _one_key_for_equal_bytes),
    )


def reuses_noise() -> AbstractContextManager[None]:
    """A draw after a token without bytes has the noise that drew that token."""
    return replaced(History, "_after", _uncounted)


def samples_padding() -> AbstractContextManager[None]:
    """Rows of the head beyond the vocabulary are drawn."""
    return replaced(cells_module, "Play", _play_padded)


def looks_for_the_end_once_a_round() -> AbstractContextManager[None]:
    """An accepted end token is followed by a bonus."""
    return replaced(toy_sessions, "StopTracker", _EndingWithTheRound)
