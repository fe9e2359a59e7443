"""The method ``exact``: the target draws for itself and keeps a draft token only where it drew the same.

This is the verification of SLEM (Timor et al., ICML 2025, arXiv 2502.05202, Algorithm 2) with draws from keyed noise,
a coupling that needs no communication (Daliri, Musco and Suresh, arXiv 2408.07978). A draw never looks at the draft,
so the committed tokens have the target's law whatever the draft was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a round commits."""

    accepted: int
    """Leading tokens that came from the draft."""

    tokens: tuple[int, ...]
    """The accepted tokens, then one recovered token (a mismatch) or bonus token (all matched)."""


def accept(draft: Sequence[int], drawn: Sequence[int]) -> Acceptance:
    """Keep draft tokens while the target drew the same, and then the token it drew instead or after them.

    Args:
        draft: k draft tokens, target ids.
        drawn: k + 1 tokens; the target's draw at each draft position and at the one after the last.
    """
    assert len(drawn) == len(draft) + 1, "one draw for each draft token and one more"
    accepted = 0
    while accepted < len(draft) and draft[accepted] == drawn[accepted]:
        accepted += 1
    return Acceptance(accepted, tuple(drawn[: accepted + 1]))
