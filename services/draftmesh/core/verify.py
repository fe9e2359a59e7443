"""The values that travel on a session's stream to its verifier."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from draftmesh.core.evidence import Evidence
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import FinishReason, Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import TokenPrefix

MIN_WAITING_ROUNDS = 16
"""Rounds of one session that every verifier lets wait for the one that it is at."""

MAX_LOOKUP_TOKENS = 8
"""Tokens that a step of a free run judges at most: what followed where the text's end occurred before."""


@dataclass(frozen=True, slots=True)
class VerifyOpen:
    """First message to a verifier: the whole state of the session, so that any other of the same target can go on."""

    session_id: str
    fence: Fence
    prompt_ids: tuple[int, ...]
    committed_ids: tuple[int, ...]
    """Generated ids already committed; never drawn again."""

    sampling: SamplingParams
    stop: StopConditions
    noise_key: NoiseKey
    method: Method
    target_digest: bytes = b""
    """Weights, dtype and tokenizer that the committed ids came from; empty accepts any."""


@dataclass(frozen=True, slots=True)
class VerifyRound:
    """Asks for one round: judge a draft, decode freely, or the one and then the other."""

    round: int
    """Counts from 1, without gaps."""

    base: TokenPrefix
    """The committed ids that the draft follows."""

    draft_ids: tuple[int, ...] = ()
    evidence: Evidence | None = None
    free_run: int = 0
    """Steps to take after the draft is judged, at most, giving way at a token boundary to a matching round. A step says
    a token; one of ``exact`` or ``tli-exact`` more, where the verifier has looked up what the target says."""


class RoundStatus(enum.IntEnum):
    """What became of a round. Values equal the wire's enum."""

    DONE = 1
    STALE = 2


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log probabilities (natural, under the processed distribution) at one committed position."""

    chosen: float
    top: tuple[tuple[int, float], ...] = ()
    """(id, log probability), most likely first."""


@dataclass(frozen=True, slots=True)
class RoundTimings:
    """Where a verdict's time went, in milliseconds."""

    queue_ms: float = 0.0
    """From the arrival of the round to the start of its first step."""

    compute_ms: float = 0.0
    """Steps of the engine that held rows of this round."""

    forward_ms: float = 0.0
    """Of those, the model's forwards: the rest was scheduling, judging and committing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the target says. A free run answers with several; the last has ``final`` set."""

    round: int
    status: RoundStatus
    base: TokenPrefix
    """The committed ids before ``tokens``; for a stale round, the verifier's present state."""

    accepted: int = 0
    """Leading tokens that came from the draft."""

    tokens: tuple[int, ...] = ()
    """Newly committed ids: the accepted ones, then the recovered, bonus or freely decoded ones."""

    finish_reason: FinishReason | None = None
    text_length: int | None = None
    """With a finish reason: bytes of generated text to deliver (a stop string and an end token are not part of it)."""

    logprobs: tuple[TokenLogprobs, ...] = ()
    final: bool = True
    """Nothing more follows for this round."""

    timings: RoundTimings = RoundTimings()
    batch_sequences: int = 1
    """Sequences that shared the engine's last step with this round."""

    batch_rows: int = 1
    """Token rows of that step, less those that were looked up."""

    steps: int = 0
    """Of the engine, in which the tokens were said; 0: one for the draft and one for each token after it."""


@dataclass(frozen=True, slots=True)
class PsiQuery:
    """The verifier's lazy residual needs ψ of these target tokens after a prefix (``slrs``)."""

    query_id: int
    prefix: TokenPrefix
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PsiReply:
    """The answer to :class:`PsiQuery`: one ψ for each id."""

    query_id: int
    psi: tuple[float, ...]
