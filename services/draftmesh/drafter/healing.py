"""Token healing: say the committed text's last word again where no text of this model would end as it does.

A target with smaller tokens commits "priv", and a drafter that would have said "private" as one token has never seen
what follows its tokens "pr", "iv". So the tokens of the last word are submitted as a draft of their own, and their rows
decide: if their probability is a fair share of that of all ways to say these bytes and go on, they stay, and the same
step draws the next token; else the likeliest longer token takes their place from where it begins, and only what goes
beyond the committed bytes is proposed. A row for each redrawn token, in the step after a divergence, is all it costs.

The idea is token healing (Lundberg 2023), which always says the last token again. That would propose " there" for ever
to a target that has just said " the" instead; hence the share. Only methods that judge text may do this: a healed token
is no draw from q.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import takewhile

import torch
from torch import Tensor

from draftmesh.core.protocols import TokenTable
from draftmesh.drafter.lookup import is_word
from draftmesh.tokenization.utf8 import pending_length

KEEP_SHARE = 0.05
"""Tokens stay if they have this share of the probability of all ways to say their bytes.

Flat from 0.02 to 0.1; above 0.3 tokens that were right are replaced.
"""

MAX_REDRAWN_TOKENS = 4
"""Rows that a step may cost more; enough for any unfinished character."""


def redrawn_tokens(table: TokenTable, ids: Sequence[int]) -> int:
    """How many tokens at the end of ``ids`` are to be redrawn: the last word's, or an unfinished character's."""
    newest = (table.token_bytes(token) for token in reversed(ids[-MAX_REDRAWN_TOKENS:]))
    texts = list(takewhile(bool, newest))
    unfinished = pending_length(b"".join(reversed(texts)))
    count = covered = 0
    while count < len(texts) and (covered < max(1, unfinished) or _joined(texts[count], texts[count - 1])):
        covered += len(texts[count])
        count += 1
    return count


class PrefixIndex:
    """Tokens by the bytes they begin with."""

    def __init__(self, table: TokenTable, vocab_rows: int) -> None:
        """Index the tokens of ``table`` below ``vocab_rows``."""
        tokens = sorted((table.token_bytes(token), token) for token in range(min(len(table), vocab_rows)))
        self._texts = [text for text, _ in tokens]
        self._ids = torch.tensor([token for _, token in tokens])

    def beginning_with(self, prefix: bytes) -> Tensor:  # [matches], int64
        """Ids of the tokens whose bytes begin with ``prefix``, which is not empty."""
        return self._ids[bisect_left(self._texts, prefix) : bisect_left(self._texts, _successor(prefix))]


class Healing:
    """Decides redrawn tokens, before whoever draws looks at their rows."""

    def __init__(self, table: TokenTable, vocab_rows: int) -> None:
        """Decide by ``table``, whose tokens below ``vocab_rows`` have rows."""
        self._table = table
        self._index = PrefixIndex(table, vocab_rows)

    def decide(
        self,
        logits: Tensor,  # [redrawn, vocab]; overwritten
        redrawn: Sequence[int],
    ) -> None:
        """Leave one token possible in each row: the redrawn one, or in some row what replaces it and those after it."""
        for row, token in enumerate(self._chosen(logits.double().log_softmax(-1), redrawn)):
            logits[row].fill_(float("-inf"))
            logits[row, token] = 0.0

    def _chosen(self, logprobs: Tensor, redrawn: Sequence[int]) -> Sequence[int]:
        """The redrawn tokens, if they are likely enough to stay; else some of them and a longer token."""
        ways = list(self._longer(logprobs, redrawn))
        scores = torch.tensor([score for score, _, _ in ways] + [_said(logprobs, redrawn)])
        if float(scores.softmax(0)[-1]) >= KEEP_SHARE:
            return redrawn
        _, kept, token = max(ways)
        return (*redrawn[:kept], token)

    def _longer(self, logprobs: Tensor, redrawn: Sequence[int]) -> Iterator[tuple[float, int, int]]:
        """The ways to say more, by row: their log probability together, how many tokens stay, and the best one."""
        for kept, own in enumerate(redrawn):
            rest = b"".join(self._table.token_bytes(token) for token in redrawn[kept:])
            ids = self._index.beginning_with(rest)
            ids = ids[ids != own].to(logprobs.device)
            if len(ids):
                scores = logprobs[kept, ids]
                best = int(ids[scores.argmax()])
                yield float(scores.logsumexp(0)) + _said(logprobs, redrawn[:kept]), kept, best


def _said(logprobs: Tensor, tokens: Sequence[int]) -> float:
    """Log probability of ``tokens``, one in each row."""
    return sum(float(logprobs[row, token]) for row, token in enumerate(tokens))


def _joined(before: bytes, after: bytes) -> bool:
    """Whether two tokens belong to one word, or are its space and its first letters."""
    return is_word(after[0]) and (is_word(before[-1]) or before[-1:] == b" ")


def _successor(prefix: bytes) -> bytes:
    """Bytes that sort after every token that begins with ``prefix``, and before all others that sort after it."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else prefix + b"\xff" * 512
