"""What a session keeps of its drafter's stream, behind one seam: text, target ids, or whole blocks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from draftmesh.core.draft import Block
from draftmesh.core.errors import MalformedBlockError
from draftmesh.core.evidence import Evidence, PsiEvidence, check_evidence
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import Method
from draftmesh.core.text import Item


@dataclass(frozen=True, slots=True)
class Draft:
    """What a round proposes; false if there is nothing to judge."""

    ids: tuple[int, ...] = ()
    evidence: Evidence | None = None
    """Of ``ids``; with ψ it may propose nothing where a token is due, which is to be judged too."""

    def __bool__(self) -> bool:
        """Whether there is a position to judge."""
        return bool(self.ids) or (isinstance(self.evidence, PsiEvidence) and self.evidence.missing_next)

    def cut(self, limit: int) -> Draft:
        """The first ``limit`` positions at most.

        What is missing after the last id is a position too: kept after ``limit`` ids, it would decide by its content
        whether the next token is a bonus or a residual.
        """
        if len(self.ids) < limit:
            return self
        match self.evidence:
            case PsiEvidence(values):
                evidence: Evidence | None = PsiEvidence(values[:limit])
            case None:
                evidence = None
            case _:
                evidence = self.evidence.part(0, limit)
        return Draft(self.ids[:limit], evidence) if limit > 0 else Draft()

    def after(self, count: int) -> Draft:
        """What follows the first ``count`` ids."""
        evidence = None if self.evidence is None else self.evidence.part(count, len(self.ids))
        return Draft(self.ids[count:], evidence if len(self.ids) > count else None)


NOTHING = Draft()
"""The draft that proposes nothing."""


@dataclass(frozen=True, slots=True)
class KnownDraft:
    """A draft as far as it is known."""

    draft: Draft = NOTHING
    """What can be judged, whatever the drafter says next."""

    weak_ids: tuple[int, ...] = ()
    """Ids of the text after it as they would be if the text ended there."""

    is_guess: bool = False
    """Whether the target has parted from the drafter's draft to say this, so that more of it is a round trip away."""

    @property
    def whole(self) -> Draft:
        """With the weak ids: better tokens that more text might change than fewer."""
        return Draft(self.draft.ids + self.weak_ids, self.draft.evidence)


@dataclass(frozen=True, slots=True)
class BranchDraft:
    """What there would be to propose if the target were to take a branch of the draft."""

    draft: Draft
    """Its own draft, up to where it may part from the other one, and what follows."""

    is_whole: bool
    """Whether it will not get longer before something is committed."""


class Drafts(Protocol):
    """Keeps what follows the committed text. Raises nothing but what is said."""

    @property
    def ended(self) -> bool:
        """Whether the draft will not get longer before something is committed."""

    def read(self, *, ended: bool) -> KnownDraft:
        """What there is to propose; ``ended``: nothing more will come, whoever is to blame."""

    def branches(self) -> Sequence[BranchDraft]:
        """One for each branch that the target may take."""

    def settle(self, ids: Sequence[int], items: Sequence[Item]) -> bool:
        """The target has committed these tokens, which are this text, one item a token.

        Returns:
            Whether the drafter has said the same, as far as both go.
        """

    def offer(self, block: Block) -> bool:
        """Keep what ``block`` adds; False if it is of no use.

        Raises:
            MalformedBlockError: the drafter contradicts itself, or sends what it was not asked for.
        """

    def restart(self, max_ahead_tokens: int, *, is_behind: bool) -> None:
        """A stream begins that was asked for so many tokens: it has applied nothing but its Open.

        ``is_behind``: tokens have been committed since what the Open says, which it is yet to hear of.
        """

    def note_commit(self, commit_seq: int) -> None:
        """A commit has been sent on the stream."""

    def take_wasted_bytes(self) -> int:
        """Bytes of draft thrown away without being judged since the last call."""


def check_ids(block: Block, method: Method, table: TokenTable) -> None:
    """Refuse a block whose target ids or evidence are wrong.

    Raises:
        MalformedBlockError: an item is not the text of its id, the evidence is not what ``method`` needs, or it is a
            branch, which only drafts of text have.
    """
    if block.is_branch:
        raise MalformedBlockError(f"a branch, which method {method.label} has no use for")
    if len(block.target_ids) != len(block.items):
        raise MalformedBlockError(f"{len(block.target_ids)} target ids for {len(block.items)} draft tokens")
    for token, item in zip(block.target_ids, block.items, strict=True):
        if not 0 <= token < len(table):
            raise MalformedBlockError(f"draft token {token} is outside the vocabulary of {len(table)} tokens")
        if not item or item != (table.role(token) or table.token_bytes(token)):
            raise MalformedBlockError(f"draft token {token} is said to be {item!r}, which it is not")
    check_evidence(method, block.target_ids, block.evidence, len(table))
