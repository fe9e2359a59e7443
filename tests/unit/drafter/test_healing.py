"""Token healing: which tokens are redrawn, and what takes their place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest
import torch

from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.core.text import Role
from draftmesh.decoding.history import History
from draftmesh.drafter.healing import PrefixIndex, redrawn_tokens
from draftmesh.drafter.judge import DrawText, draft_judge
from draftmesh.engine.judging import Case, Judgement
from draftmesh.tokenization.vocabulary import Vocabulary

TEXTS = (b" ", b" pr", b"iv", b" priv", b" private", b"ivy", b"ate", b"!", b"\xff", b"\xff\xff", b"\xe4", b"\xb8", b"")
EOS = len(TEXTS) - 1
VOCABULARY = Vocabulary(TEXTS, {EOS: Role.EOS})
KEY = NoiseKey(bytes(16))


def ids(*texts: bytes) -> tuple[int, ...]:
    """The tokens of these texts."""
    return tuple(TEXTS.index(text) for text in texts)


def judged(
    rows: Sequence[Mapping[bytes, float]],
    draft: tuple[int, ...],
    *,
    redrawn: int,
    sampling: SamplingParams | None = None,
) -> Judgement:
    """What a healing judge says to a draft whose first tokens are redrawn; rows give probabilities, the rest none."""
    logits = torch.full((len(rows), len(TEXTS)), -30.0)
    for row, probabilities in enumerate(rows):
        for text, probability in probabilities.items():
            logits[row, TEXTS.index(text)] = math.log(probability)
    history = History(VOCABULARY, sampling or SamplingParams(), KEY, prompt_ids=[0])
    judge = draft_judge(VOCABULARY, len(TEXTS), "cpu")
    (found,) = judge.judge(logits, [Case(history, draft, Method.EXACT, DrawText(redrawn))])
    return Judgement(found.accepted, found.tokens)


@pytest.mark.parametrize(
    ("tokens", "count"),
    [
        (ids(b"!", b" pr", b"iv"), 2),
        (ids(b" private", b"!"), 1),
        (ids(b"!", b" ", b"iv"), 2),
        (ids(b"!", b" "), 1),
        (ids(b"!", b" pr"), 1),
        (ids(b" ", b"iv", b"ate", b"iv", b"ate", b"iv"), 4),
        (ids(b"!", b"\xe4", b"\xb8"), 2),
        ((*ids(b"iv"), EOS), 0),
        ((EOS, *ids(b"iv")), 1),
        ((), 0),
    ],
)
def test_last_word_is_redrawn(tokens: tuple[int, ...], count: int) -> None:
    """The tokens of the last word, or of the last character where it is unfinished; nothing across a special token."""
    assert redrawn_tokens(VOCABULARY, tokens) == count


@pytest.mark.parametrize("prefix", [b" p", b"iv", b" private", b"\xff", b"zzz", b"\xff\xff\xff"])
def test_index_finds_every_token_that_begins_so(prefix: bytes) -> None:
    """The index agrees with looking at each token."""
    expected = {token for token, text in enumerate(TEXTS) if text.startswith(prefix)}
    assert set(PrefixIndex(VOCABULARY, len(TEXTS)).beginning_with(prefix).tolist()) == expected


def test_padding_rows_are_not_found() -> None:
    """Tokens beyond the model's rows cannot be drawn, so they are not in the index."""
    assert PrefixIndex(VOCABULARY, 4).beginning_with(b" private").tolist() == []


def test_unlikely_tokens_give_way_to_a_longer_one() -> None:
    """Where the model would have said the word at once, it says it now."""
    rows = [{b" private": 0.9, b" pr": 0.001}, {b"ate": 0.5, b"iv": 0.5}, {b"!": 1.0}]
    assert judged(rows, ids(b" pr", b"iv"), redrawn=2) == Judgement(0, ids(b" private"))


def test_likely_tokens_stay_and_the_next_is_drawn() -> None:
    """A token that the model finds natural is kept, even if a longer one is likelier; the same step draws on."""
    rows = [{b" private": 0.7, b" priv": 0.3}, {b"!": 1.0}]
    assert judged(rows, ids(b" priv"), redrawn=1) == Judgement(1, ids(b" priv", b"!"))


def test_later_token_alone_gives_way() -> None:
    """The first token of the word may stay while the second is replaced."""
    rows = [{b" pr": 1.0}, {b"ivy": 0.95, b"iv": 0.01}, {b"!": 1.0}]
    assert judged(rows, ids(b" pr", b"iv"), redrawn=2) == Judgement(1, ids(b" pr", b"ivy"))


def test_redrawn_tokens_ignore_the_noise() -> None:
    """At a temperature the redrawn tokens are decided by probability, not drawn."""
    sampling = SamplingParams(temperature=1.5, top_k=3, presence_penalty=1.0)
    rows = [{b" priv": 0.2, b" private": 0.2, b"!": 0.6}, {b"!": 1.0}]
    assert judged(rows, ids(b" priv"), redrawn=1, sampling=sampling) == Judgement(1, ids(b" priv", b"!"))


def test_tokens_without_a_longer_one_stay() -> None:
    """Where no token goes on from the bytes there is nothing to decide."""
    assert judged([{b" private": 1.0}, {b"ate": 1.0}], ids(b"!"), redrawn=1) == Judgement(1, ids(b"!", b"ate"))


def test_other_histories_pass() -> None:
    """A case that redraws nothing is judged as ever."""
    history = History(VOCABULARY, SamplingParams(), KEY, [0])
    judge = draft_judge(VOCABULARY, len(TEXTS), "cpu")
    logits = torch.eye(len(TEXTS))[[5, 6]]
    (found,) = judge.judge(logits, [Case(history, ids(b"iv"), Method.EXACT)])
    assert (found.accepted, found.tokens) == (0, ids(b"ivy"))
