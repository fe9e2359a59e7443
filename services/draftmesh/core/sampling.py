"""How the target is to speak: sampling, stopping, noise and method, validated once where a request enters."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from draftmesh.core.errors import InvalidRequestError


class Method(enum.IntEnum):
    """How drafts are proposed and judged (DESIGN, "The decoding methods"). Values equal the wire's enum."""

    AUTO = 1
    OFF = 2
    EXACT = 3
    TLI = 4
    TLI_EXACT = 5
    REJECTION = 6
    SLRS = 7

    @property
    def label(self) -> str:
        """The name that users write: ``tli-exact``."""
        return self.name.lower().replace("_", "-")

    @property
    def proposes_ids(self) -> bool:
        """Whether proposals are target tokens, so that the drafter needs the target's vocabulary."""
        return self in {Method.TLI, Method.TLI_EXACT, Method.REJECTION, Method.SLRS}

    @property
    def judges_by_ratio(self) -> bool:
        """Whether a proposal is judged by its probability, so that the drafter has to be trusted to say it truly.

        All other methods say one text for a seed, whoever drafts.
        """
        return self in {Method.TLI, Method.REJECTION, Method.SLRS}


class FinishReason(enum.IntEnum):
    """Why a generation ended. Values equal the wire's enum."""

    EOS = 1
    STOP = 2
    LENGTH = 3
    CANCELLED = 4


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """The processed distribution p of the target, at every position.

    Order of processing: penalties, temperature, top-k, top-p, min-p; ``temperature == 0`` is the argmax of the
    penalised logits.
    """

    temperature: float = 0.0
    """Divides the logits; 0 means greedy."""

    top_k: int = 0
    """Keep the k most likely tokens; 0 keeps all."""

    top_p: float = 1.0
    """Keep the smallest set of tokens whose mass reaches this, in (0, 1]."""

    min_p: float = 0.0
    """Keep tokens with at least this share of the most likely token's probability, in [0, 1)."""

    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens seen in prompt or output (CTRL); > 0."""

    presence_penalty: float = 0.0
    """Subtracted once from the logit of each token seen in the output."""

    frequency_penalty: float = 0.0
    """Subtracted from a token's logit for each time it is in the output."""

    logprobs: int | None = None
    """None: none. n: log probabilities of each committed token and of the n most likely ones (0 ≤ n ≤ 20)."""

    def validate(self) -> None:
        """Raise :class:`InvalidRequestError`, naming the field, if a value is outside its range."""
        _require("temperature", self.temperature, low=0.0, high=100.0)
        _require("top_k", self.top_k, low=0, high=1 << 31)
        _require("top_p", self.top_p, low=0.0, high=1.0, open_low=True)
        _require("min_p", self.min_p, low=0.0, high=1.0, open_high=True)
        _require("repetition_penalty", self.repetition_penalty, low=0.0, high=100.0, open_low=True)
        _require("presence_penalty", self.presence_penalty, low=-100.0, high=100.0)
        _require("frequency_penalty", self.frequency_penalty, low=-100.0, high=100.0)
        _require("logprobs", self.logprobs or 0, low=0, high=20)

    @property
    def has_penalties(self) -> bool:
        """Whether p depends on which tokens came before."""
        return self.repetition_penalty != 1.0 or self.presence_penalty != 0.0 or self.frequency_penalty != 0.0


@dataclass(frozen=True, slots=True)
class StopConditions:
    """When a generation ends."""

    max_tokens: int = 256
    """Generated target tokens at most, the end token included; ≥ 1."""

    stop: tuple[bytes, ...] = ()
    """The text ends before the first occurrence of any of these (UTF-8)."""

    ignore_eos: bool = False
    """Treat end tokens as any other token."""

    def validate(self, *, max_tokens_limit: int) -> None:
        """Raise :class:`InvalidRequestError` if a value is outside its range."""
        _require("max_tokens", self.max_tokens, low=1, high=max_tokens_limit)
        _require("number of stop strings", len(self.stop), low=0, high=16)
        for text in self.stop:
            _require("length of a stop string in bytes", len(text), low=1, high=256)


@dataclass(frozen=True, slots=True)
class NoiseKey:
    """The key of a session's draws; who has it and the target can say the text again."""

    key: bytes
    """16 bytes."""

    version: int = 1
    """Which keyed noise function the key is for; a version's function never changes."""


def _require(
    name: str,
    value: float,
    *,
    low: float,
    high: float,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if math.isnan(value) or not (above and below):
        bounds = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        raise InvalidRequestError(f"{name} must be in {bounds}, got {value:g}")
