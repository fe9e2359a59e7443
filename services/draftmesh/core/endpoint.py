"""What a drafter or verifier says of itself, and the load it reports."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.sampling import Method


@dataclass(frozen=True, slots=True)
class TokenizerFile:
    """One file of a tokenizer's folder."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class DrafterInfo:
    """A drafter's answer to ``GetInfo``."""

    name: str
    """Name of the drafter model, or ``ngram``."""

    digest: bytes
    """Of all that decides what it proposes with a given key: weights, dtype, quantisation, tokenizer and context;
    without a model, its settings."""

    vocabulary_digest: bytes
    methods: tuple[Method, ...]
    max_context_tokens: int
    max_ahead_tokens: int
    max_sessions: int
    parameters: int = 0
    """Number of weights; 0 for a drafter without a model."""

    tokenizer_family: str = ""


@dataclass(frozen=True, slots=True)
class VerifierInfo:
    """A verifier's answer to ``GetInfo``."""

    model: str
    """The model's public name, which clients ask for."""

    target_digest: bytes
    """Weights, dtype and tokenizer."""

    vocabulary_digest: bytes
    tokenizer_digest: bytes
    """Of the tokenizer's files: names what ``GetTokenizer`` serves."""

    methods: tuple[Method, ...]
    max_context_tokens: int
    max_draft_tokens: int
    max_sessions: int
    parameters: int = 0
    dtype: str = "float32"
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class CostPoint:
    """One point of a measured cost curve."""

    rows: int
    """Token rows in one engine step."""

    milliseconds: float
    """Duration of such a step (moving average)."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """One message of a ``Watch`` stream."""

    draining: bool = False
    active_sessions: int = 0
    max_sessions: int = 1
    waiting_sequences: int = 0
    """Sequences with work that the last step had no budget for."""

    kv_blocks_free: int = 0
    kv_blocks_total: int = 0
    batch_sequences: float = 0.0
    """Mean sequences in a step (moving average)."""

    token_budget: int = 0
    """Rows of one step at most."""

    costs: tuple[CostPoint, ...] = ()
