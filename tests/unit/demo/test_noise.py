"""Keyed noise is a function of key, offset and bytes, and is Gumbel distributed."""

from __future__ import annotations

import numpy as np
import pytest

from draftmesh.demo.models import DRAFTER_SENTENCEPIECE, TARGET, demo_model_path
from draftmesh.demo.noise import bytes_key, gumbel, token_keys
from draftmesh.demo.pieces import load_pieces


def test_two_vocabularies_share_the_noise_of_equal_bytes() -> None:
    """` return` has one noise at an offset, whichever tokenizer spells it; so has the end of text."""
    shared = []
    for name in (TARGET, DRAFTER_SENTENCEPIECE):
        pieces = load_pieces(demo_model_path(name))
        noise = gumbel(token_keys(pieces), 7, 33)
        shared.append((noise[pieces.spelled.index(b" return")], noise[pieces.end_of_text_id]))
    assert shared[0] == shared[1]


@pytest.mark.parametrize("name", [TARGET, DRAFTER_SENTENCEPIECE])
def test_no_two_ids_share_a_key(name: str) -> None:
    """Ids that spell the same bytes are told apart by their rank."""
    pieces = load_pieces(demo_model_path(name))
    keys = token_keys(pieces)
    spelling = [token_id for token_id, spelled in enumerate(pieces.spelled) if spelled]
    assert len(spelling) == len(set(keys[spelling].tolist()))


def test_noise_has_the_moments_of_a_gumbel_distribution() -> None:
    """Mean and variance of 100,000 values are Euler's constant and pi squared over six."""
    keys = np.array([bytes_key(str(index).encode()) for index in range(100_000)], dtype=np.uint64)
    noise = gumbel(keys, 1, 0)
    assert (float(np.euler_gamma), float(np.pi**2 / 6)) == pytest.approx(
        (float(noise.mean()), float(noise.var())), abs=0.03
    )


@pytest.mark.parametrize(("noise_key", "byte_offset"), [(2, 0), (1, 1)])
def test_another_key_or_offset_gives_other_noise(noise_key: int, byte_offset: int) -> None:
    """Noise at another offset, or under another key, is uncorrelated."""
    keys = np.array([bytes_key(str(index).encode()) for index in range(20_000)], dtype=np.uint64)
    correlation = np.corrcoef(gumbel(keys, 1, 0), gumbel(keys, noise_key, byte_offset))[0, 1]
    assert abs(float(correlation)) < 0.03
