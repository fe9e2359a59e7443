"""Decoding once more, slow and plain, from the definitions alone: what the product code is compared with."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from draftmesh.core.sampling import FinishReason, SamplingParams, StopConditions
from draftmesh.core.text import TERMINAL_ROLES
from tests.helpers.fakes_token_table import FakeTokenTable, text_of

_MASK = (1 << 64) - 1


def reference_distribution(
    logits: Sequence[float], params: SamplingParams, prompt: Sequence[int], output: Sequence[int]
) -> NDArray[np.float64]:
    """The processed distribution p of one position; T = 0 is the point mass of the lowest id among the largest."""
    scores = [_penalised(value, token, params, prompt, output) for token, value in enumerate(logits)]
    order = sorted(range(len(scores)), key=lambda token: (-scores[token], token))
    p = np.zeros(len(scores))
    if params.temperature == 0.0:
        p[order[0]] = 1.0
        return p
    for token in order:
        p[token] = math.exp((scores[token] - scores[order[0]]) / params.temperature)
    if params.top_k:
        p[order[params.top_k :]] = 0.0
    p /= p.sum()
    if params.top_p < 1.0:
        mass = 0.0
        for token in order:
            if mass >= params.top_p:
                p[token] = 0.0
            mass += p[token]
    p[p < params.min_p * p.max()] = 0.0
    p /= p.sum()
    return p


def _penalised(value: float, token: int, params: SamplingParams, prompt: Sequence[int], output: Sequence[int]) -> float:
    if token in prompt or token in output:
        value = value / params.repetition_penalty if value > 0 else value * params.repetition_penalty
    count = output.count(token)
    return value - params.frequency_penalty * count - (params.presence_penalty if count else 0.0)


def reference_token_key(table: FakeTokenTable, token: int) -> int:
    """``key(t)`` of the noise, version 1."""
    data, role = table.token_bytes(token), table.role(token)
    if data:
        rank = sum(table.token_bytes(other) == data for other in range(token))
        message = b"\x00" + struct.pack("<I", rank) + data
    elif role is not None:
        rank = sum(table.role(other) is role for other in range(token))
        message = b"\x01" + struct.pack("<II", rank, role)
    else:
        message = b"\x02" + struct.pack("<Q", token)
    return int.from_bytes(hashlib.blake2b(message, digest_size=8, person=b"draftmesh-token1").digest(), "little")


def reference_uniform(noise_key: bytes, offset: int, zero_byte_tokens: int, token_key: int) -> int:
    """``u`` of the noise, version 1, as the integer ``u * 2**53``."""
    message = noise_key + struct.pack("<QQ", offset, zero_byte_tokens)
    digest = hashlib.blake2b(message, digest_size=16, person=b"draftmesh-noise1").digest()
    w0, w1 = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
    x = ((token_key ^ w0) * 0xBF58476D1CE4E5B9 + w1) & _MASK
    x = ((x ^ x >> 32) * 0x94D049BB133111EB) & _MASK
    x = ((x ^ x >> 29) * 0xFF51AFD7ED558CCD) & _MASK
    return 2 * ((x ^ x >> 32) >> 12) + 1


def reference_draw(
    p: NDArray[np.float64], table: FakeTokenTable, noise_key: bytes, offset: int, zero_byte_tokens: int
) -> int:
    """argmax(log p + g), token by token."""
    best, drawn = -math.inf, -1
    for token in range(len(table)):
        if p[token] > 0.0:
            u = reference_uniform(noise_key, offset, zero_byte_tokens, reference_token_key(table, token)) / 2.0**53
            score = math.log(p[token]) - math.log(-math.log(u))
            if score > best:
                best, drawn = score, token
    return drawn


def reference_stop(
    table: FakeTokenTable, conditions: StopConditions, room_tokens: int | None, ids: Sequence[int]
) -> tuple[int, FinishReason | None, int | None]:
    """Tokens kept, finish reason and text length, by looking at the whole text again after each token."""
    limit = conditions.max_tokens if room_tokens is None else min(conditions.max_tokens, room_tokens)
    for kept in range(1, len(ids) + 1):
        text = text_of(table, ids[:kept])
        if table.role(ids[kept - 1]) in TERMINAL_ROLES and not conditions.ignore_eos:
            return kept, FinishReason.EOS, len(text)
        starts = [text.find(stop) for stop in conditions.stop if stop in text]
        if starts:
            return kept, FinishReason.STOP, min(starts)
        if kept == limit:
            return kept, FinishReason.LENGTH, len(text)
    return len(ids), None, None
