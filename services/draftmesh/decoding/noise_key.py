"""Keys of the keyed noise, version 1: everything that is hashed on the host.

A draw of the target is ``argmax_t(log p(t) + g(t))`` with Gumbel noise ``g`` that is a pure function of the session's
key, the position in the text, and the token's *bytes*. Any party that has the key can say the draw again, and a
drafter with another vocabulary draws its proposals with the same noise for equal strings at equal offsets (the
coupling of Daliri, Musco and Suresh, arXiv 2408.07978, there for one vocabulary, keyed by bytes here).

The function, bit by bit. All integers are little-endian and unsigned, arithmetic is modulo 2**64, ``>>>`` is the
logical shift, ``B(n, person, message)`` is BLAKE2b with an ``n``-byte digest::

    rank(t)  = number of ids below t with the same bytes (or the same role)
    key(t)   = B(8, "draftmesh-token1", 0x00 | u32 rank | bytes)       when t has bytes
               B(8, "draftmesh-token1", 0x01 | u32 rank | u32 role)    when it has a role and no bytes
               B(8, "draftmesh-token1", 0x02 | u64 t)                  when it has neither
    w0 | w1  = B(16, "draftmesh-noise1", key of the session, 16 bytes | u64 byte offset | u64 zero-byte tokens)
    x        = (key(t) ^ w0) * 0xBF58476D1CE4E5B9 + w1
    x        = (x ^ x >>> 32) * 0x94D049BB133111EB
    x        = (x ^ x >>> 29) * 0xFF51AFD7ED558CCD
    n        = (x ^ x >>> 32) >>> 12                                   52 bits
    u        = (2 n + 1) / 2**53                                       exact in float64, inside (0, 1)
    g        = -log(-log(u))                                           float64

``offset`` is the byte offset at which the token would start, and ``zero-byte tokens`` counts the tokens without bytes
that are committed already at that offset. A released version never changes: the golden values in the tests hold it.
``draftmesh.decoding.noise`` computes ``x`` to ``g`` for whole vocabularies.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.core.errors import InvalidRequestError, UnsupportedError
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import NoiseKey

NOISE_VERSION = 1
"""The version that new keys get; the only one so far."""

NOISE_KEY_BYTES = 16
"""Length of a session's key."""

_SEED_BYTES = 16
_MINT_PERSON = b"draftmesh-mint-1"
_TOKEN_PERSON = b"draftmesh-token1"
_DRAW_PERSON = b"draftmesh-noise1"
_TAG_BYTES, _TAG_ROLE, _TAG_ID = b"\x00", b"\x01", b"\x02"


@dataclass(frozen=True, slots=True)
class NoisePosition:
    """Where one draw happens; equal positions have equal noise."""

    key: NoiseKey
    offset: int
    """Bytes generated before the draw."""

    zero_byte_tokens: int
    """Tokens without bytes that are committed already at this offset."""

    def words(self) -> tuple[int, int]:
        """The draw's two 64-bit words, ``w0`` and ``w1`` of the module's docstring."""
        message = self.key.key + struct.pack("<QQ", self.offset, self.zero_byte_tokens)
        digest = hashlib.blake2b(message, digest_size=16, person=_DRAW_PERSON).digest()
        first, second = struct.unpack("<QQ", digest)
        return first, second


def mint_noise_key(seed: int | None, prompt_ids: Sequence[int], choice_index: int = 0) -> NoiseKey:
    """The key of a new session: a hash of the version, the seed, the prompt's ids and the choice's index.

    A second turn has another prompt and a second choice another index, so neither repeats the noise of the first.

    Args:
        seed: Of the request; None takes the operating system's randomness in its place.
        prompt_ids: Target ids of the whole prompt.
        choice_index: Which of a request's choices, from 0.

    Raises:
        InvalidRequestError: the seed does not fit 128 bits, signed.
    """
    digest = hashlib.blake2b(digest_size=NOISE_KEY_BYTES, person=_MINT_PERSON)
    digest.update(_seed_bytes(seed))
    digest.update(struct.pack(f"<IQQ{len(prompt_ids)}q", NOISE_VERSION, choice_index, len(prompt_ids), *prompt_ids))
    return NoiseKey(key=digest.digest(), version=NOISE_VERSION)


def require_noise_key(noise_key: NoiseKey) -> None:
    """Refuse a key that this code would draw wrongly with.

    Raises:
        UnsupportedError: the key is for a version of the noise that is unknown here.
        InvalidRequestError: the key has a wrong length.
    """
    if noise_key.version != NOISE_VERSION:
        raise UnsupportedError(f"noise version {noise_key.version} is unknown here, only {NOISE_VERSION} is offered")
    if len(noise_key.key) != NOISE_KEY_BYTES:
        raise InvalidRequestError(f"a noise key has {NOISE_KEY_BYTES} bytes, got {len(noise_key.key)}")


def token_keys(table: TokenTable) -> list[int]:
    """The 64-bit ``key(t)`` of every id.

    Ids with equal bytes get different keys by their rank: with one key they would share their noise, and be drawn
    with max(p1, p2) instead of p1 + p2.
    """
    ranks: Counter[bytes] = Counter()
    keys = []
    for token in range(len(table)):
        tag, identity = _identity(table, token)
        if tag != _TAG_ID:
            rank = ranks[tag + identity]
            ranks[tag + identity] += 1
            identity = struct.pack("<I", rank) + identity
        keys.append(_token_hash(tag + identity))
    return keys


def _identity(table: TokenTable, token: int) -> tuple[bytes, bytes]:
    data = table.token_bytes(token)
    if data:
        return _TAG_BYTES, data
    role = table.role(token)
    if role is not None:
        return _TAG_ROLE, struct.pack("<I", role)
    return _TAG_ID, struct.pack("<Q", token)


def _token_hash(message: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(message, digest_size=8, person=_TOKEN_PERSON).digest(), "little")


def _seed_bytes(seed: int | None) -> bytes:
    """One tag byte, then the seed or randomness, so that no seed collides with the absence of one."""
    if seed is None:
        return b"\x00" + os.urandom(_SEED_BYTES)
    try:
        return b"\x01" + seed.to_bytes(_SEED_BYTES, "little", signed=True)
    except OverflowError:
        raise InvalidRequestError(f"a seed has {8 * _SEED_BYTES} bits at most") from None
