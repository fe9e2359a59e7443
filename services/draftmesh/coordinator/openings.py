"""A session's first messages to its peers: everything that another one of the same kind needs to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.core.draft import DEFAULT_PROPOSAL_SUPPORT, DEFAULT_PSI_CAP_BYTES, DraftOpen
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import Item, join_items
from draftmesh.core.verify import VerifyOpen
from draftmesh.decoding.streams import Stream, stream_key


@dataclass(frozen=True, slots=True)
class Job:
    """What one session is to generate; everything in it has been validated."""

    session_id: str
    session_epoch: int
    prompt_ids: tuple[int, ...]
    context: tuple[Item, ...]
    """The prompt for the drafter."""

    sampling: SamplingParams
    stop: StopConditions
    noise_key: NoiseKey
    method: Method
    """Never AUTO."""

    draft_tokens: int
    """Draft tokens of a round at most; 0: no drafting."""

    target_digest: bytes
    vocabulary_digest: bytes = b""
    """Of the target's vocabulary."""


@dataclass(frozen=True, slots=True)
class ProposalConfig:
    """Parts of the law by which drafters propose: the same in all streams of a session."""

    support: int = DEFAULT_PROPOSAL_SUPPORT
    """Tokens of a proposal distribution at most (``tli``, ``rejection``, ``slrs``)."""

    psi_cap_bytes: int = DEFAULT_PSI_CAP_BYTES
    """No token longer than this is proposed (``slrs``)."""

    couple_draft_noise: bool = True
    """Whether drafters of ``exact`` and ``tli-exact`` draw with the target's own noise, which is why drafts agree with
    it more often. False is for studying that alone: the text is the same."""


def verify_open(job: Job, fence: Fence, committed_ids: Sequence[int]) -> VerifyOpen:
    """To a verifier."""
    return VerifyOpen(
        session_id=job.session_id,
        fence=fence,
        prompt_ids=job.prompt_ids,
        committed_ids=tuple(committed_ids),
        sampling=job.sampling,
        stop=job.stop,
        noise_key=job.noise_key,
        method=job.method,
        target_digest=job.target_digest,
    )


def draft_open(
    job: Job, config: ProposalConfig, fence: Fence, committed: Sequence[Item], limit_tokens: int
) -> DraftOpen:
    """To a drafter that takes ``limit_tokens`` ahead; ``committed`` has one item a token."""
    return DraftOpen(
        session_id=job.session_id,
        fence=fence,
        context=job.context,
        committed=join_items(committed),
        sampling=job.sampling,
        noise_key=_draft_key(job, config),
        method=job.method,
        max_ahead_tokens=min(limit_tokens, job.draft_tokens) if job.method is Method.SLRS else limit_tokens,
        target_vocabulary_digest=job.vocabulary_digest if job.method.proposes_ids else b"",
        committed_tokens=len(committed),
        proposal_support=config.support,
        psi_cap_bytes=config.psi_cap_bytes,
    )


def _draft_key(job: Job, config: ProposalConfig) -> NoiseKey:
    """What a drafter may draw with: of a ratio method never what the accept tests or residuals are drawn with."""
    is_derived = job.method.judges_by_ratio or not config.couple_draft_noise
    return stream_key(job.noise_key, Stream.DRAFT) if is_derived else job.noise_key
