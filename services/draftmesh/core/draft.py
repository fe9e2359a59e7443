"""The values that travel on a session's stream to its drafter."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.errors import InvalidRequestError, MalformedBlockError
from draftmesh.core.evidence import Evidence
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.core.text import Item, TextPrefix, items_length

DEFAULT_PROPOSAL_SUPPORT = 64
DEFAULT_PSI_CAP_BYTES = 16
MAX_BRANCHES = 16
"""Of a draft: no drafter draws more, and no coordinator asks for more."""

MAX_BRANCH_TOKENS = 16
"""Of a branch, likewise."""


@dataclass(frozen=True, slots=True)
class DraftExtent:
    """How far a draft is to go."""

    ahead_tokens: int = 0
    """Drafter tokens at most beyond the newest commit; 0: the most that the stream was opened for."""

    least_confidence: float = 0.0
    """The draft pauses where all of it is right with less than this probability by the drafter's own judgement: the
    product of the probabilities of the tokens that were drawn beyond the newest commit, in [0, 1]."""

    branches: int = 0
    """Branches at most beside the draft (``exact``): what may follow where the target does not say what the draft, or
    another branch, says. The drafter draws them where it finds that likeliest, when the draft itself is drawn."""

    branch_tokens: int = 0
    """Drafter tokens of a branch at most, the one that parts from the draft included."""

    def __post_init__(self) -> None:
        """Raise :class:`InvalidRequestError` for what is no probability."""
        if not 0.0 <= self.least_confidence <= 1.0:
            raise InvalidRequestError(f"least_confidence must be in [0, 1], got {self.least_confidence:g}")


@dataclass(frozen=True, slots=True)
class DraftOpen:
    """First message to a drafter: the context to draft for, and how."""

    session_id: str
    fence: Fence
    context: tuple[Item, ...]
    """What precedes the generation: the prompt."""

    committed: tuple[Item, ...]
    """What is generated already, when a session moves to this drafter, one item for each of the target's tokens; byte
    offsets count from its start."""

    sampling: SamplingParams
    noise_key: NoiseKey
    method: Method
    max_ahead_tokens: int
    """Drafter tokens at most beyond the last commit; ``slrs``: target tokens of a block."""

    target_vocabulary_digest: bytes = b""
    """Names a registered target vocabulary; needed by methods whose proposals are target ids."""

    committed_tokens: int = 0
    """Target tokens that ``committed`` is made of."""

    proposal_support: int = DEFAULT_PROPOSAL_SUPPORT
    """Tokens of a proposal distribution at most (``tli``, ``rejection``, ``slrs``): part of the proposal's law."""

    psi_cap_bytes: int = DEFAULT_PSI_CAP_BYTES
    """The translation rule proposes no token longer than this (``slrs``): part of the proposal's law."""

    first_extent: DraftExtent = DraftExtent()
    """Of the draft until the first commit. Not for ``slrs``."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What the target has settled since the commit before."""

    commit_seq: int
    """Minted by the coordinator, counting from 1; Open counts as 0."""

    offset: int
    """Byte offset where ``items`` start: the length of everything committed before."""

    items: tuple[Item, ...]
    """One for each of the target's tokens; ``b""`` for one that has neither bytes nor a role."""

    extent: DraftExtent = DraftExtent()
    """Of the draft beyond this commit, while it is the newest. Not for ``slrs``."""


@dataclass(frozen=True, slots=True)
class Block:
    """A run of draft tokens, streamed as soon as it is drawn."""

    commit_seq: int
    """The newest commit that the drafter had applied when it drew this."""

    start: TextPrefix
    """The generated text before the block, as the drafter believes it."""

    items: tuple[Item, ...]
    """One item a draft token: its bytes, or its role."""

    paused: bool = False
    """No more text follows before the next commit (the draft has ended, is unsure, or is ``max_ahead`` long); of a
    branch: nor would it, if this were the draft."""

    target_ids: tuple[int, ...] = ()
    """One a draft token, for methods whose proposals are target ids; else empty."""

    evidence: Evidence | None = None
    is_branch: bool = False
    """A guess at what follows if the target parts from the draft, or from another branch, at ``start``, or says all of
    it and that is its end; not part of the draft."""

    @property
    def end(self) -> TextPrefix:
        """The text after the block."""
        return self.start.extend(self.items)

    @property
    def length(self) -> int:
        """Bytes of text in the block."""
        return items_length(self.items)


def split_block(text: bytes, lengths: tuple[int, ...]) -> tuple[bytes, ...]:
    """Cut a block's text into its tokens.

    Raises:
        MalformedBlockError: the lengths do not add up to the text's, or one is negative.
    """
    if any(length < 0 for length in lengths) or sum(lengths) != len(text):
        raise MalformedBlockError(f"token byte lengths add up to {sum(lengths)}, but the block has {len(text)} bytes")
    pieces, position = [], 0
    for length in lengths:
        pieces.append(text[position : position + length])
        position += length
    return tuple(pieces)


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Asks the drafter for ψ of sequences of target tokens that would follow a prefix (``slrs``)."""

    evaluation_id: int
    prefix: TextPrefix
    sequences: tuple[tuple[int, ...], ...]
    """Target token ids; ψ of a sequence is the probability that the draft translates to it first."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The answer to :class:`Evaluate`."""

    evaluation_id: int
    psi: tuple[float, ...]
    """One for each sequence; empty when the drafter no longer has that prefix."""
