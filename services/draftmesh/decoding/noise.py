"""Keyed noise for whole vocabularies: the tensor half of the function that ``noise_key`` documents bit by bit.

int64 tensors wrap modulo 2**64 alike on every device, and logical shifts are arithmetic ones with the sign's copies
masked away; so ``u`` is identical everywhere, and ``g`` up to the last bit of the device's logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from draftmesh.core.protocols import TokenTable
from draftmesh.decoding.noise_key import NoisePosition, token_keys

_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xFF51AFD7ED558CCD)
_MANTISSA_BITS = 52
_ONE = 0x3FF << _MANTISSA_BITS  # the bits of 1.0 in float64


def key_tensor(table: TokenTable, device: torch.device) -> Tensor:
    """``key(t)`` of every id as int64 bit patterns, shape [len(table)]."""
    return torch.tensor([_signed(key) for key in token_keys(table)], dtype=torch.int64, device=device)


def word_tensor(positions: Sequence[NoisePosition], device: torch.device) -> Tensor:
    """``w0`` and ``w1`` of every draw as int64 bit patterns, shape [draws, 2]."""
    words = [[_signed(word) for word in position.words()] for position in positions]
    return torch.tensor(words, dtype=torch.int64, device=device).view(len(positions), 2)


def uniform(
    keys: Tensor,  # [tokens] or [draws, tokens], int64
    words: Tensor,  # [draws, 2], int64
) -> Tensor:
    """The uniform variable ``u`` of every draw and token, float64, shape [draws, tokens]."""
    mixed = _mix(keys, words)
    # The upper 52 bits become the mantissa of a number in [1, 2); less 1 - 2**-53 that is (2 n + 1) / 2**53, exactly.
    mixed.bitwise_right_shift_(64 - _MANTISSA_BITS).bitwise_and_((1 << _MANTISSA_BITS) - 1).bitwise_or_(_ONE)
    return mixed.view(torch.float64).sub_(1.0 - 2.0**-53)


def add_gumbel(
    scores: Tensor,  # [draws, tokens], float64; changed in place
    keys: Tensor,  # [tokens] or [draws, tokens], int64
    words: Tensor,  # [draws, 2], int64
) -> Tensor:
    """Add the Gumbel noise ``g = -log(-log(u))`` to ``scores``; the argmax is then a draw from their softmax."""
    return scores.sub_(uniform(keys, words).log_().neg_().log_())


def _mix(keys: Tensor, words: Tensor) -> Tensor:
    first, second, third = map(_signed, _MULTIPLIERS)
    mixed = keys ^ words[:, :1]
    scratch = torch.empty_like(mixed)
    _xor_shift(mixed.mul_(first).add_(words[:, 1:]), 32, scratch)
    _xor_shift(mixed.mul_(second), 29, scratch)
    _xor_shift(mixed.mul_(third), 32, scratch)
    return mixed


def _xor_shift(values: Tensor, bits: int, scratch: Tensor) -> None:
    """``values ^= values >>> bits``, in place."""
    torch.bitwise_right_shift(values, bits, out=scratch)
    values.bitwise_xor_(scratch.bitwise_and_((1 << (64 - bits)) - 1))


def _signed(word: int) -> int:
    """The int64 with the bit pattern of an unsigned 64-bit word."""
    return word - (1 << 64) if word >> 63 else word
