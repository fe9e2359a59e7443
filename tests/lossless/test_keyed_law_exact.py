"""The law of the method ``exact``: whatever is drafted, the committed tokens are those of the target alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.core.sampling import Method, SamplingParams
from draftmesh.decoding.history import History
from draftmesh.decoding.judge import Case, Judge
from draftmesh.decoding.noise import add_gumbel, key_tensor, word_tensor
from draftmesh.decoding.noise_key import mint_noise_key
from draftmesh.decoding.sampler import Sampler
from tests.helpers.chi_square import chi_square_p_value
from tests.lossless.test_keyed_law import (
    CRITICAL,
    LOGITS,
    PLAIN,
    PROCESSED,
    PROMPT,
    START,
    TABLE,
    TOKENS,
    counts,
    joint_law,
    report,
)

SESSIONS = 100_000
CPU = torch.device("cpu")
JUDGE = Judge(Sampler(TABLE, "cpu", TOKENS))
Drafts = list[tuple[int, ...]]
Strategy = Callable[[list[History], list[int]], Drafts]
"""Drafts two tokens for each session, from its history and last token."""


def nothing(histories: list[History], _last: list[int]) -> Drafts:
    """No draft at all."""
    return [() for _ in histories]


def at_random(histories: list[History], _last: list[int]) -> Drafts:
    """Any two tokens."""
    rng = random.Random(len(histories))
    return [(rng.randrange(TOKENS), rng.randrange(TOKENS)) for _ in histories]


def most_likely(_histories: list[History], last: list[int]) -> Drafts:
    """The target's own greedy continuation."""
    best = LOGITS.argmax(dim=-1).tolist()
    return [(best[token], best[best[token]]) for token in last]


def greatest_noise(histories: list[History], _last: list[int]) -> Drafts:
    """A drafter that knows the noise key, and drafts where the noise alone is greatest."""
    words = word_tensor([history.position for history in histories], CPU)
    loud = add_gumbel(torch.zeros(len(histories), TOKENS, dtype=torch.float64), key_tensor(TABLE, CPU), words)
    return [(token, token) for token in loud.argmax(dim=-1).tolist()]


def oracle(histories: list[History], last: list[int]) -> Drafts:
    """What the target is about to say, and then something else."""
    drawn = [tokens[0] for tokens in one_round(histories, last, nothing)]
    return [(token, (token + 1) % TOKENS) for token in drawn]


def contrary(histories: list[History], last: list[int]) -> Drafts:
    """Never what the target is about to say."""
    return [((first + 1) % TOKENS, second) for first, second in oracle(histories, last)]


def one_round(histories: list[History], last: list[int], strategy: Strategy) -> list[tuple[int, ...]]:
    """Judge one draft for each session and return what is committed; the target's p depends on the last token."""
    cases, contexts = list[Case](), list[int]()
    for history, token, draft in zip(histories, last, strategy(histories, last), strict=True):
        cases.append(Case(history, draft, Method.EXACT if draft else Method.OFF))
        contexts.extend((token, *draft))
    return [judgement.tokens for judgement in JUDGE.judge(LOGITS[contexts], cases)]


def generate(params: SamplingParams, strategy: Strategy, seeds: Sequence[int], length: int) -> list[list[int]]:
    """The first ``length`` tokens of each session, in rounds of drafts."""
    histories = [History(TABLE, params, mint_noise_key(seed, PROMPT), PROMPT) for seed in seeds]
    texts: list[list[int]] = [[] for _ in seeds]
    while running := [i for i, text in enumerate(texts) if len(text) < length]:
        last = [texts[i][-1] if texts[i] else START for i in running]
        for i, tokens in zip(running, one_round([histories[i] for i in running], last, strategy), strict=True):
            histories[i].append(tokens)
            texts[i].extend(tokens)
    return [text[:length] for text in texts]


@pytest.mark.parametrize(
    ("params", "strategy", "base"),
    [
        pytest.param(PLAIN, nothing, 1_000_000, id="nothing"),
        pytest.param(PLAIN, at_random, 2_000_000, id="at-random"),
        pytest.param(PLAIN, most_likely, 3_000_000, id="most-likely", marks=pytest.mark.slow),
        pytest.param(PLAIN, greatest_noise, 4_000_000, id="greatest-noise"),
        pytest.param(PLAIN, oracle, 5_000_000, id="oracle", marks=pytest.mark.slow),
        pytest.param(PLAIN, contrary, 6_000_000, id="contrary"),
        pytest.param(PROCESSED[-1], greatest_noise, 7_000_000, id="processed", marks=pytest.mark.slow),
    ],
)
def test_two_committed_tokens_have_the_joint_law_for_any_drafter(
    params: SamplingParams, strategy: Strategy, base: int
) -> None:
    """100,000 sessions; adversarial drafters included, one of which knows the noise."""
    pairs = np.array(generate(params, strategy, range(base, base + SESSIONS), 2))
    seen = counts(pairs[:, 0] * TOKENS + pairs[:, 1], TOKENS * TOKENS)
    p_value = chi_square_p_value(seen, joint_law(params))
    assert report(f"exact, {strategy.__name__}", p_value) > CRITICAL


@given(st.sampled_from([SamplingParams(), *PROCESSED]), st.integers(0, 1 << 32), st.data())
@settings(max_examples=80, deadline=None)
def test_the_text_does_not_depend_on_the_drafts(params: SamplingParams, seed: int, data: st.DataObject) -> None:
    """Any drafts, of any lengths, give the tokens that no draft gives."""

    def arbitrary(histories: list[History], _last: list[int]) -> Drafts:
        return [tuple(data.draw(st.lists(st.integers(0, TOKENS - 1), max_size=4))) for _ in histories]

    assert generate(params, arbitrary, [seed], 12) == generate(params, nothing, [seed], 12)
