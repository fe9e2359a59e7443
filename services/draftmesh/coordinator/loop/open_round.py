"""A round that has not been answered for the last time, as it stands to the committed tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

from draftmesh.core.evidence import PsiEvidence
from draftmesh.core.verify import VerifyRound


@dataclass(frozen=True, slots=True)
class OpenRound:
    """What it waits for, and what is left of it."""

    request: VerifyRound
    expected_ids: tuple[int, ...]
    """What the target has to say before the verifier comes to it; empty: its base is committed."""

    draft_ids: tuple[int, ...]
    """Of its draft, what is not committed."""

    is_judged: bool = False
    """Its draft has been; it runs on."""

    @property
    def proposes(self) -> bool:
        """Whether it has a position to judge; a block of ``slrs`` may have no token and propose nothing at its start.

        Else it is a free run.
        """
        return bool(self.request.draft_ids) or self.request.evidence is not None

    def after(self, tokens: tuple[int, ...]) -> OpenRound | None:
        """Where it stands when another round has said these tokens; None: it follows others, or all of it is said."""
        if not self.proposes or self.is_judged or isinstance(self.request.evidence, PsiEvidence):
            return self  # a free run runs on until it is answered; a block of slrs meets none
        ids, expected = (*self.expected_ids, *self.draft_ids), len(self.expected_ids)
        if len(ids) <= len(tokens) or ids[: len(tokens)] != tokens:
            return None
        left = max(expected, len(tokens))
        return replace(self, expected_ids=ids[len(tokens) : expected], draft_ids=ids[left:])
