"""The law of the keyed sampler: it draws from p, at one position and jointly at two.

A p-value below 0.001 fails; seeds are fixed, so a test that passes passes always. The controls break the noise on
purpose and show that tests of this size see it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from draftmesh.core.sampling import NoiseKey, SamplingParams
from draftmesh.core.text import Role
from draftmesh.decoding.history import DrawRow, History
from draftmesh.decoding.noise import add_gumbel, key_tensor, word_tensor
from draftmesh.decoding.noise_key import NoisePosition, mint_noise_key
from draftmesh.decoding.sampler import Sampler
from tests.helpers.chi_square import chi_square_p_value
from tests.helpers.fakes_token_table import FakeTokenTable
from tests.helpers.reference_decoding import reference_distribution

torch.set_num_threads(1)
# Duplicates of "a" and "b", prefixes of one another, and three tokens without bytes.
TABLE = FakeTokenTable([b"a", b"b", b"a", b"ab", Role.EOS, None, b"abc", b"b", Role.EOS])
TOKENS = len(TABLE)
START = TOKENS  # the row of LOGITS before any token
LOGITS = torch.randn(TOKENS + 1, TOKENS, generator=torch.Generator().manual_seed(11)) * 1.2
PROMPT = (1, 3)
DRAWS = 200_000
CRITICAL = 1e-3
PLAIN = SamplingParams(temperature=1.0)
PROCESSED = [
    PLAIN,
    SamplingParams(temperature=0.6, top_k=6),
    SamplingParams(temperature=1.4, top_p=0.9),
    SamplingParams(temperature=1.0, min_p=0.1),
    SamplingParams(temperature=0.8, repetition_penalty=1.6, presence_penalty=0.4, frequency_penalty=0.3),
    SamplingParams(temperature=1.2, top_k=7, top_p=0.95, min_p=0.02, repetition_penalty=1.3),
]


def law(context: int, params: SamplingParams, output: Sequence[int] = ()) -> NDArray[np.float64]:
    """The reference's p after a token."""
    return reference_distribution(LOGITS[context].tolist(), params, PROMPT, output)


def joint_law(params: SamplingParams) -> NDArray[np.float64]:
    """The reference's p of the first two tokens, [first, second]."""
    return np.stack([p * law(first, params, [first]) for first, p in enumerate(law(START, params))])


def keys(number: int, base: int) -> list[NoiseKey]:
    """Distinct noise keys."""
    return [mint_noise_key(seed, PROMPT) for seed in range(base, base + number)]


def counts(ids: Sequence[int], size: int = TOKENS) -> NDArray[np.int64]:
    """How often each id was drawn."""
    return np.bincount(ids, minlength=size)


def report(name: str, p_value: float) -> float:
    """Print a p-value for the log, and pass it on."""
    print(f"\n{name}: p-value {p_value:.4f}")
    return p_value


@pytest.mark.parametrize("params", PROCESSED)
def test_one_draw_has_the_law_p_over_noise_keys(params: SamplingParams) -> None:
    """200,000 keys at one position; duplicate bytes and tokens without bytes included."""
    output = (0, 0, 4)
    history = History(TABLE, params, NoiseKey(bytes(16)), PROMPT)
    history.append(output)
    penalties = history.rows([])[0].penalties
    rows = [DrawRow(params, NoisePosition(key, 2, 1), penalties) for key in keys(DRAWS, base=0)]
    ids = Sampler(TABLE, "cpu", TOKENS).draw(LOGITS[START].expand(DRAWS, -1), rows).ids
    assert report(f"one draw, {params}", chi_square_p_value(counts(ids), law(START, params, output))) > CRITICAL


@pytest.mark.slow
def test_a_million_positions_of_one_key_have_the_law_p() -> None:
    """One session's noise is good over offsets too: 1,000,000 of them."""
    key = mint_noise_key(7, PROMPT)
    draws = 1_000_000
    rows = [DrawRow(PLAIN, NoisePosition(key, offset, 0)) for offset in range(draws)]
    ids = Sampler(TABLE, "cpu", TOKENS).draw(LOGITS[START].expand(draws, -1), rows).ids
    assert report("one key, all offsets", chi_square_p_value(counts(ids), law(START, PLAIN))) > CRITICAL


def test_draws_at_neighbouring_offsets_are_independent() -> None:
    """Pairs of draws at offsets 2 i and 2 i + 1 of one key have the product law."""
    key = mint_noise_key(8, PROMPT)
    rows = [DrawRow(PLAIN, NoisePosition(key, offset, 0)) for offset in range(2 * DRAWS)]
    ids = np.array(Sampler(TABLE, "cpu", TOKENS).draw(LOGITS[START].expand(2 * DRAWS, -1), rows).ids)
    p = law(START, PLAIN)
    seen = counts(ids[0::2] * TOKENS + ids[1::2], TOKENS * TOKENS)
    assert report("neighbouring offsets", chi_square_p_value(seen, np.outer(p, p))) > CRITICAL


def second_rows(first: Sequence[int], noise_keys: Sequence[NoiseKey], params: SamplingParams) -> list[DrawRow]:
    """The rows after each first token."""
    rows = []
    for token, key in zip(first, noise_keys, strict=True):
        history = History(TABLE, params, key, PROMPT)
        history.append([token])
        rows.append(history.rows([])[0])
    return rows


@pytest.mark.parametrize("params", [PROCESSED[0], PROCESSED[-1]])
def test_two_draws_have_the_joint_law(params: SamplingParams) -> None:
    """Two tokens of 200,000 sessions, the second's p and position depending on the first."""
    sampler, noise_keys = Sampler(TABLE, "cpu", TOKENS), keys(DRAWS, base=1_000_000)
    rows = [History(TABLE, params, key, PROMPT).rows([])[0] for key in noise_keys]
    first = sampler.draw(LOGITS[START].expand(DRAWS, -1), rows).ids
    second = sampler.draw(LOGITS[first], second_rows(first, noise_keys, params)).ids
    seen = counts(np.array(first) * TOKENS + np.array(second), TOKENS * TOKENS)
    assert report(f"two draws, {params}", chi_square_p_value(seen, joint_law(params))) > CRITICAL


def test_control_equal_keys_for_duplicate_bytes_would_be_seen() -> None:
    """Were the duplicates of "a" and "b" to share their noise, the single-draw test would fail."""
    shared = key_tensor(TABLE, torch.device("cpu"))
    shared[2], shared[7] = shared[0], shared[1]
    words = word_tensor([NoisePosition(key, 0, 0) for key in keys(DRAWS, base=0)], torch.device("cpu"))
    ids = add_gumbel(LOGITS[START].double().repeat(DRAWS, 1), shared, words).argmax(dim=-1).tolist()
    assert chi_square_p_value(counts(ids), law(START, PLAIN)) < 1e-12


def test_control_uncounted_zero_byte_tokens_would_be_seen() -> None:
    """Were tokens without bytes not counted, the draw after one would repeat its noise, and the joint test fail."""
    sampler, noise_keys = Sampler(TABLE, "cpu", TOKENS), keys(DRAWS, base=0)
    first = sampler.draw(
        LOGITS[START].expand(DRAWS, -1), [DrawRow(PLAIN, NoisePosition(key, 0, 0)) for key in noise_keys]
    ).ids
    uncounted = [NoisePosition(key, len(TABLE.token_bytes(t)), 0) for t, key in zip(first, noise_keys, strict=True)]
    second = sampler.draw(LOGITS[first], [DrawRow(PLAIN, position) for position in uncounted]).ids
    seen = counts(np.array(first) * TOKENS + np.array(second), TOKENS * TOKENS)
    assert chi_square_p_value(seen, joint_law(PLAIN)) < 1e-12


def test_draws_of_two_vocabularies_agree_as_often_as_the_coupling_promises() -> None:
    """A drafter of another vocabulary draws the target's string with probability sum_t 1 / sum_s max(p_s/p_t, q_s/q_t).

    (Daliri, Musco and Suresh, arXiv 2408.07978; s and t run over the union, a string's duplicates by rank.)
    """
    drafter = FakeTokenTable([Role.EOS, b"abc", b"b", b"c", b"a", b"ab"])
    to_target = {0: 4, 1: 6, 2: 1, 4: 0, 5: 3}
    logits = torch.randn(len(drafter), generator=torch.Generator().manual_seed(12))
    rows = [DrawRow(PLAIN, NoisePosition(key, 0, 0)) for key in keys(DRAWS, base=5_000_000)]
    ours = Sampler(TABLE, "cpu", TOKENS).draw(LOGITS[START].expand(DRAWS, -1), rows).ids
    theirs = Sampler(drafter, "cpu", len(drafter)).draw(logits.expand(DRAWS, -1), rows).ids
    p, q = np.append(law(START, PLAIN), 0.0), np.zeros(TOKENS + 1)  # the last is "c", which only the drafter has
    for token, mass in enumerate(torch.softmax(logits.double(), dim=0).tolist()):
        q[to_target.get(token, TOKENS)] = mass
    shared = list(to_target.values())
    expected = sum(1.0 / np.maximum(p / p[t], q / q[t]).sum() for t in shared)
    matches = sum(to_target.get(b) == a for a, b in zip(ours, theirs, strict=True))
    p_value = stats.binomtest(matches, DRAWS, expected).pvalue
    print(f"\ncoupling: {matches / DRAWS:.4f} agree, {expected:.4f} promised, independent {float(p @ q):.4f}")
    assert report("coupling", p_value) > CRITICAL
