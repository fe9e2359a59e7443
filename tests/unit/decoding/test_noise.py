"""The tensor half of the keyed noise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from draftmesh.core.sampling import NoiseKey
from draftmesh.core.text import Role
from draftmesh.decoding.noise import add_gumbel, key_tensor, uniform, word_tensor
from draftmesh.decoding.noise_key import NoisePosition, token_keys
from tests.helpers.fakes_token_table import FakeTokenTable
from tests.helpers.reference_decoding import reference_uniform

GOLDEN_TABLE = FakeTokenTable((b"a", b" the", b"a", b"\xe2\x82", Role.EOS, Role.EOS, None, None))
KEY = NoiseKey(bytes(range(16)))
POSITIONS = [NoisePosition(KEY, 0, 0), NoisePosition(KEY, 17, 2), NoisePosition(KEY, 1 << 40, 0)]
GOLDEN_UNIFORMS = [  # u * 2**53, a row for each position
    [
        5255674790962927,
        8440498805376467,
        537086050645755,
        2685544755064757,
        8627479830225453,
        6934977352120535,
        7494806241152925,
        5431811139883411,
    ],
    [
        1032099047073601,
        1640248409864313,
        1166500085396635,
        6183583173842161,
        881398809551603,
        8296058874728169,
        2124199911558655,
        2931769159562851,
    ],
    [
        7490030980407105,
        5301991749801221,
        644468418625515,
        7652742211692301,
        6591990310198607,
        1630678943736275,
        4327072073619337,
        3396837557933209,
    ],
]
CPU = torch.device("cpu")


def scaled(u: torch.Tensor) -> list[list[int]]:
    """The uniforms as the integers ``u * 2**53``, without rounding."""
    scaled_up = u * 2.0**53
    assert torch.equal(scaled_up, scaled_up.round())
    return scaled_up.to(torch.int64).tolist()


def golden(device: torch.device) -> list[list[int]]:
    """The golden uniforms as computed on a device."""
    return scaled(uniform(key_tensor(GOLDEN_TABLE, device), word_tensor(POSITIONS, device)).cpu())


def test_uniforms_are_those_of_version_1() -> None:
    """The noise never changes, to the last bit."""
    assert golden(CPU) == GOLDEN_UNIFORMS


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_uniforms_are_the_same_on_a_gpu() -> None:
    """A CUDA device computes the same bits as a CPU."""
    assert golden(torch.device("cuda")) == GOLDEN_UNIFORMS


def test_uniforms_are_the_same_in_another_process() -> None:
    """Neither hash randomisation nor anything else of a process enters the noise."""
    script = "from tests.unit.decoding.test_noise import CPU, golden; print(golden(CPU))"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == str(GOLDEN_UNIFORMS)


def test_uniforms_equal_the_plain_integer_arithmetic() -> None:
    """Wrapping int64 tensors compute what unbounded integers modulo 2**64 do, over many keys and positions."""
    table = FakeTokenTable([i.to_bytes(2, "big") for i in range(500)])
    positions = [NoisePosition(KEY, offset, offset % 3) for offset in range(40)]
    keys = token_keys(table)
    expected = [[reference_uniform(KEY.key, p.offset, p.zero_byte_tokens, key) for key in keys] for p in positions]
    assert scaled(uniform(key_tensor(table, CPU), word_tensor(positions, CPU))) == expected


def test_equal_strings_at_equal_offsets_share_their_noise_across_vocabularies() -> None:
    """A drafter's noise for a string is the target's, whatever ids the two give it."""
    one = FakeTokenTable([b"x", Role.EOS, b"yy", b"x"])
    other = FakeTokenTable([b"yy", b"z", b"x", None, b"x", Role.EOS])
    words = word_tensor(POSITIONS, CPU)
    mine, theirs = uniform(key_tensor(one, CPU), words), uniform(key_tensor(other, CPU), words)
    assert torch.equal(mine[:, [2, 0, 3, 1]], theirs[:, [0, 2, 4, 5]])


def test_uniforms_stay_inside_the_open_interval() -> None:
    """The extreme words give uniforms whose Gumbel noise is finite."""
    keys = torch.randint(-(1 << 63), (1 << 63) - 1, (1 << 18,), generator=torch.Generator().manual_seed(3))
    noise = add_gumbel(torch.zeros(1, len(keys), dtype=torch.float64), keys, torch.zeros(1, 2, dtype=torch.int64))
    assert bool(torch.isfinite(noise).all())


def test_each_bit_of_the_inputs_reaches_every_bit_of_the_uniform() -> None:
    """Flipping one bit of the key or of a word flips each of the 52 bits half the time (avalanche)."""
    draws = 1 << 14
    generator = torch.Generator().manual_seed(5)
    keys = torch.randint(-(1 << 63), (1 << 63) - 1, (draws, 1), generator=generator)
    words = torch.randint(-(1 << 63), (1 << 63) - 1, (draws, 2), generator=generator)
    base = mantissa(uniform(keys, words))
    worst = 0.0
    for bit in [1 << shift for shift in range(63)] + [-(1 << 63)]:
        for flipped in (uniform(keys ^ bit, words), *(uniform(keys, words ^ mask) for mask in word_masks(bit))):
            changed = base ^ mantissa(flipped)
            share = torch.stack([(changed >> place & 1).double().mean() for place in range(52)])
            worst = max(worst, float((share - 0.5).abs().max()))
    assert worst < 6.0 * 0.5 / draws**0.5  # six standard deviations, over 64 * 3 * 52 shares


def mantissa(u: torch.Tensor) -> torch.Tensor:
    """The 52 random bits of a uniform."""
    return (u * 2.0**52).to(torch.int64)


def word_masks(bit: int) -> list[torch.Tensor]:
    """The bit in the first word, and in the second."""
    return [torch.tensor([bit, 0]), torch.tensor([0, bit])]
