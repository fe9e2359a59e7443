"""The part of a text that a sequence holds, in the drafter's own tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """The part of prompt and generated tokens that a sequence holds."""

    prompt_ids: tuple[int, ...]
    """The fixed part, from the first token that is kept; may end with generated tokens."""

    first_generated: int
    """Index of the first generated token that is not in ``prompt_ids``: what comes before it cannot be rewound."""


@dataclass(frozen=True, slots=True)
class BlockBase:
    """What a block or a branch is drawn after: the drafter's tokens before it, and the window that is looked at."""

    window: ContextWindow
    generated_ids: tuple[int, ...]

    @property
    def rewindable(self) -> tuple[int, ...]:
        """Generated tokens in the window that can be taken back."""
        return self.generated_ids[self.window.first_generated :]

    @property
    def num_tokens(self) -> int:
        """Tokens in the window."""
        return len(self.window.prompt_ids) + len(self.rewindable)

    def without(self, dropped_tokens: int) -> BlockBase:
        """Before so many tokens, counted from the last one."""
        return BlockBase(self.window, self.generated_ids[: len(self.generated_ids) - dropped_tokens])

    def extend(self, ids: Iterable[int]) -> BlockBase:
        """After ``ids``."""
        return BlockBase(self.window, (*self.generated_ids, *ids))

    def shares_beginning(self, other: BlockBase) -> bool:
        """Whether a sequence at one base can be brought to the other."""
        first = self.window.first_generated
        return self.window == other.window and self.generated_ids[:first] == other.generated_ids[:first]
