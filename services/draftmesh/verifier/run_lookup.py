"""Drafts for a target that decodes alone: what followed where the end of its text occurred before.

A step costs little more for a few rows, and a text often repeats itself, above all a prompt's. So while nobody has sent
a draft, the target judges one that was looked up: a token of it stands if the target says it too, so what is said is
the same. How much of them stands is measured all the time, whether they are judged or not; they are as long as pays.
"""

from __future__ import annotations

from collections.abc import Sequence

from draftmesh.core.acceptance import AcceptanceCounts
from draftmesh.core.sequences import common_length
from draftmesh.decoding.draft_length import CostCurve, expected_tokens
from draftmesh.decoding.prompt_lookup import PromptLookup
from draftmesh.engine.stats import Sharing

_PRIOR = 0.5
_PRIOR_TOKENS = 4.0
_FORGETTING = 0.9
"""What is taken to be known of a new text, the tokens that counts as much as, and what the past counts each time."""


class RunLookup:
    """Of one sequence; satisfies ``engine.sequence.RunDrafter``."""

    def __init__(self, most: int) -> None:
        """Drafts of ``most`` tokens at most."""
        self._most = most
        self._text = PromptLookup()
        self._guess: tuple[int, ...] = ()  # what follows the text so far
        self._counts = AcceptanceCounts(_FORGETTING)

    def draft(self, tokens: Sequence[int], limit: int, sharing: Sharing) -> tuple[int, ...]:
        """What may follow these tokens, of which there are no fewer than before; none if it does not pay."""
        said = tokens[len(self._text) :]
        self._learn(said)
        self._text.extend(said)
        self._guess = self._text.next_ids(self._most)
        return self._guess[: best_length(min(limit, len(self._guess)), self.acceptance, sharing)]

    @property
    def acceptance(self) -> float:
        """The probability that a token that was looked up stands if all before it do."""
        return self._counts.shrunk(_PRIOR, _PRIOR_TOKENS)

    def _learn(self, said: Sequence[int]) -> None:
        if self._guess and said:
            self._counts.learn(common_length(self._guess, said), min(len(self._guess), len(said)))


def best_length(most: int, acceptance: float, sharing: Sharing) -> int:
    """The length up to ``most`` with which the step has the most tokens per time, 0 if none pays; the smallest of them.

    Every sequence that shares the step has a token from it, and those that look up k each E(k), which costs all of them
    k rows more for each that does. Where nothing is known of costs, rows cost nothing.
    """
    steps = CostCurve.of(sharing.costs)
    if steps is None:
        return most
    others = sharing.sequences - sharing.lookers

    def goodput(length: int) -> float:
        tokens = others + sharing.lookers * expected_tokens(length, acceptance)
        return tokens / steps.ms(sharing.rows + sharing.lookers * length)

    return max(range(most + 1), key=goodput)
