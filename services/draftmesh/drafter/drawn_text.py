"""What a step of a model has drawn of a text, as draft tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from draftmesh.core.text import Item
from draftmesh.drafter.draft_token import DraftToken, RunnerUp
from draftmesh.drafter.judge import confidences, runners_up_of
from draftmesh.engine.judging import Judgement


class Speech(Protocol):
    """A vocabulary that knows what its tokens say."""

    def items(self, ids: Sequence[int]) -> tuple[Item, ...]:
        """What each token says: bytes, a role, or nothing."""


def spoken(vocabulary: Speech, tokens: tuple[int, ...]) -> tuple[int, ...]:
    """The tokens up to one that stands for no text and no role: such a token cannot be proposed."""
    items = vocabulary.items(tokens)
    return tokens[: items.index(b"")] if b"" in items else tokens


def draft_tokens(vocabulary: Speech, settled: tuple[int, ...], judgement: Judgement) -> tuple[DraftToken, ...]:
    """The settled tokens of a judgement; only the last one drawn can have runners-up."""
    known = zip(vocabulary.items(settled), confidences(judgement), strict=False)
    tokens = [DraftToken(item, confidence=confidence) for item, confidence in known]
    if tokens and len(settled) == len(judgement.tokens):
        tokens[-1] = replace(tokens[-1], runners_up=_sayable(vocabulary, runners_up_of(judgement)))
    return tuple(tokens)


def _sayable(vocabulary: Speech, runners_up: Sequence[RunnerUp]) -> tuple[RunnerUp, ...]:
    """Those that say text, for something else to follow."""
    said = zip(runners_up, vocabulary.items([runner_up.token for runner_up in runners_up]), strict=True)
    return tuple(one for one, item in said if item and isinstance(item, bytes))
