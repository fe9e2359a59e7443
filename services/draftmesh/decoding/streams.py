"""The keyed streams of the ratio methods, and single uniform numbers at a position.

``exact``, ``tli-exact`` and ``off`` draw with the session's noise key itself. The ratio methods (``tli``,
``rejection``, ``slrs``) need three independent sources: the drafter's draws, the accept tests, and the draws of
residuals, bonus and free tokens. Their keys are one-way hashes of the session's key, so a drafter, which gets the DRAFT
key alone, cannot say the others::

    stream key  = B(16, "draftmesh-strm-1", session's key, 16 bytes | u8 stream | u64 index)
    block key   = B(16, "draftmesh-blck-1", draft key, 16 bytes | u64 byte offset | u64 target tokens)

with ``B`` and the byte order of ``noise_key``, whose version these functions share: a released one never changes.
"""

from __future__ import annotations

import enum
import hashlib
import struct

from draftmesh.core.sampling import NoiseKey
from draftmesh.decoding.noise_key import NOISE_KEY_BYTES, NoisePosition

_STREAM_PERSON = b"draftmesh-strm-1"
_BLOCK_PERSON = b"draftmesh-blck-1"


class Stream(enum.IntEnum):
    """What a derived key is for."""

    DRAFT = 1
    """The drafter's draws; the only one that leaves coordinator and verifier."""

    ACCEPT = 2
    """Accept tests; index 0 tests the draft, index i > 0 the trial i - 1 of a lazy residual."""

    RESIDUAL = 3
    """Residual, bonus and free draws; index i > 0 is trial i - 1 of a lazy residual."""


def stream_key(root: NoiseKey, stream: Stream, index: int = 0) -> NoiseKey:
    """The key of one stream of a session whose key is ``root``."""
    return _derived(root, _STREAM_PERSON, struct.pack("<BQ", stream, index))


def block_key(draft: NoiseKey, offset: int, tokens: int) -> NoiseKey:
    """The key of the draws of one ``slrs`` block.

    Args:
        draft: The session's DRAFT key.
        offset: Bytes generated before the block.
        tokens: Target tokens generated before the block; tells blocks at one offset apart.
    """
    return _derived(draft, _BLOCK_PERSON, struct.pack("<QQ", offset, tokens))


def uniform_at(position: NoisePosition) -> float:
    """The uniform number of a position, in (0, 1): ``(2 n + 1) / 2**53`` with the upper 52 bits n of its first word."""
    word, _ = position.words()
    return (2 * (word >> 12) + 1) / 2**53


def _derived(key: NoiseKey, person: bytes, message: bytes) -> NoiseKey:
    digest = hashlib.blake2b(key.key + message, digest_size=NOISE_KEY_BYTES, person=person).digest()
    return NoiseKey(digest, key.version)
