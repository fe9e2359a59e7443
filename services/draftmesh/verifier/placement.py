"""Where a round stands to the committed tokens, and what is left of it to do there.

The rule looks at the committed tokens alone, never at who committed them or when: a round whose first draft tokens
were committed while it was on its way loses them and keeps the rest, whether a free run or a bonus token said them
first. Its evidence is cut with it: that of each token that stays speaks of this token after those before it.

A block of ``slrs`` never lags. It is one proposal for the text after its base, and its base must end with it: once
anything is committed there, the block has come too late for ever.

The rule holds for ever, because committed tokens are never truncated: a round that fits nowhere never will.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from draftmesh.core.evidence import Evidence, PsiEvidence
from draftmesh.core.verify import MAX_LOOKUP_TOKENS, VerifyRound
from draftmesh.verifier.committed import CommittedTokens


class Placement(enum.Enum):
    """Whether a round can run on the committed tokens."""

    NOW = "now"
    LATER = "later"
    """Its base lies beyond them: more tokens may lead there, or past it."""

    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Work:
    """What the engine is to do for a round: judge a draft, which gives one token more, then decode freely.

    Not even a draft's empty rest says that there was none: evidence may have a proposal that is no token (⊥).
    """

    draft: tuple[int, ...]
    evidence: Evidence | None
    run: int
    """Steps to take after the judging step, at most."""


def proposes(request: VerifyRound) -> bool:
    """Whether there is a draft to judge, be it one that translates to no token at all."""
    missing = isinstance(request.evidence, PsiEvidence) and request.evidence.missing_next
    return bool(request.draft_ids) or missing


def place(request: VerifyRound, committed: CommittedTokens) -> Placement:
    """Tell whether ``request`` can run on ``committed`` now, perhaps later, or never."""
    if request.base.length > len(committed):
        return Placement.LATER
    if not committed.starts_with(request.base):
        return Placement.NEVER
    ahead = committed.since(request.base.length)
    if not proposes(request):
        fits = len(ahead) < _free_steps(request)
    elif isinstance(request.evidence, PsiEvidence):
        fits = not ahead
    else:
        fits = len(ahead) < len(request.draft_ids) and request.draft_ids[: len(ahead)] == ahead
    return Placement.NOW if fits else Placement.NEVER


def remaining_work(request: VerifyRound, committed: CommittedTokens, room: int) -> Work:
    """What is left to do of a round that is placed ``NOW``; ``room`` is how many tokens may still be generated (≥ 1).

    A draft is cut so that with the one token that always follows it fills the room: more could not be committed, and
    might lie outside the model's context.
    """
    skip = len(committed) - request.base.length
    if not proposes(request):
        return Work((), None, min(_free_steps(request) - skip, room) - 1)
    draft = request.draft_ids[skip : skip + room - 1]
    evidence = _evidence_of(request, skip, len(draft), fills_room=len(draft) == room - 1)
    return Work(draft, evidence, min(request.free_run, room - 1))


def reach(request: VerifyRound) -> int:
    """The greatest committed length at which ``request`` could end, if everything in it came true."""
    steps = request.free_run if proposes(request) else _free_steps(request)
    judged_tokens = len(request.draft_ids) + 1 if proposes(request) else 0
    return request.base.length + judged_tokens + steps * (1 + MAX_LOOKUP_TOKENS)


def _free_steps(request: VerifyRound) -> int:
    # Judging an empty draft gives a token already: asking for nothing asks for that one.
    return max(1, request.free_run)


def _evidence_of(request: VerifyRound, skip: int, length: int, *, fills_room: bool) -> Evidence | None:
    evidence = request.evidence and request.evidence.part(skip, length)
    if fills_room and isinstance(evidence, PsiEvidence):
        # The position after a draft of this length gets a bonus token. It must get one after every such draft: were ⊥
        # to make it a residual, the draft's content would choose between the two laws.
        return replace(evidence, missing_next=False)
    return evidence
