"""Keyed Gumbel noise over token bytes, for measuring a pair's acceptance offline.

The draw argmax(log p + g) samples from p; with g a hash of (key, byte offset, token bytes) two
models that spell the same bytes at the same offset share their noise (Gumbel coupling, Daliri et
al. 2024, arXiv 2408.07978). The serving path has its own, versioned hash; only the law matters here.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from draftmesh.demo.pieces import Pieces

Keys = NDArray[np.uint64]
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def token_keys(pieces: Pieces) -> Keys:
    """One key per id, uint64 [vocab]: of its bytes and duplicate rank, or of its role."""
    seen: Counter[bytes] = Counter()
    keys = np.zeros(len(pieces.spelled), dtype=np.uint64)
    for token_id, spelled in enumerate(pieces.spelled):
        keys[token_id] = bytes_key(spelled, seen[spelled])
        seen[spelled] += 1
    keys[pieces.end_of_text_id] = bytes_key(b"", 0)
    return keys


def bytes_key(spelled: bytes, rank: int = 0) -> int:
    """The key of a byte string and its duplicate rank."""
    digest = hashlib.sha256(rank.to_bytes(4, "big") + spelled).digest()
    return int.from_bytes(digest[:8], "big")


def gumbel(keys: Keys, noise_key: int, byte_offset: int) -> NDArray[np.float64]:
    """Standard Gumbel noise [len(keys)] for tokens that begin at `byte_offset`."""
    salt = np.uint64((noise_key * _GOLDEN + byte_offset * 0xD1B54A32D192ED03) & _MASK)
    with np.errstate(over="ignore"):
        mixed = _mixed(keys ^ _mixed(np.array([salt])))
    uniform = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return np.asarray(-np.log(-np.log(uniform)))


def _mixed(values: Keys) -> Keys:
    """The finaliser of splitmix64 (Steele et al. 2014)."""
    values = values + np.uint64(_GOLDEN)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
