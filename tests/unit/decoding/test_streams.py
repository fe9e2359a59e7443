"""Keys of the ratio methods."""

from __future__ import annotations

import itertools

import numpy as np
from scipy import stats

from draftmesh.core.sampling import NoiseKey
from draftmesh.decoding.noise_key import NoisePosition, require_noise_key
from draftmesh.decoding.streams import Stream, block_key, stream_key, uniform_at

ROOT = NoiseKey(bytes(range(16)))


def test_every_stream_index_and_block_has_a_key_of_its_own() -> None:
    """No draw of one is a draw of another, nor of the session's own key."""
    keys = [stream_key(ROOT, stream, index) for stream, index in itertools.product(Stream, range(3))]
    draft = stream_key(ROOT, Stream.DRAFT)
    blocks = [block_key(draft, offset, tokens) for offset, tokens in itertools.product(range(3), range(3))]
    assert len({ROOT.key, *(key.key for key in (*keys, *blocks))}) == 1 + 9 + 9


def test_derived_keys_are_keys() -> None:
    """Of the right length and the root's version."""
    require_noise_key(stream_key(ROOT, Stream.ACCEPT, 7))
    require_noise_key(block_key(ROOT, 1 << 40, 3))


def test_the_keys_are_those_of_version_one() -> None:
    """A released function never changes: texts are reproduced with it."""
    assert stream_key(ROOT, Stream.DRAFT).key.hex() == "90c6c125693aecc0b7d0a59b158e02f5"
    assert stream_key(ROOT, Stream.RESIDUAL, 2).key.hex() == "1cf88285da8fb7b1b1c1adbd01e6b0de"
    assert block_key(ROOT, 5, 2).key.hex() == "4003ebcda3ae0604d84645da0d39eada"


def test_uniform_is_the_documented_function_of_the_first_word() -> None:
    """The number of the keyed noise, from the position alone."""
    position = NoisePosition(ROOT, 3, 1)
    assert uniform_at(position) == (2 * (position.words()[0] >> 12) + 1) / 2**53


def test_uniform_numbers_are_uniform() -> None:
    """Over positions and over keys."""
    keys = [stream_key(ROOT, Stream.ACCEPT, index) for index in range(100)]
    values = [uniform_at(NoisePosition(key, offset, 0)) for key in keys for offset in range(40)]
    assert 0.0 < min(values) <= max(values) < 1.0
    assert stats.kstest(np.array(values), "uniform").pvalue > 1e-3
