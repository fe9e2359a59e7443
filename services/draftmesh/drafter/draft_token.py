"""What goes between a session's books and its proposer: drawn tokens, and where a commit parted from them."""

from __future__ import annotations

from dataclasses import dataclass, field

from draftmesh.core.evidence import SparseDistribution
from draftmesh.core.text import TERMINAL_ROLES, Item, TextPrefix
from draftmesh.drafter.window import BlockBase


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """A token that would have been drawn in another one's place, had that not been there."""

    token: int
    """The drafter's id."""

    confidence: float = field(compare=False)
    """The drafter's own probability of it. Another step may find other last digits, and it is the same token."""


@dataclass(frozen=True, slots=True)
class DraftToken:
    """One drawn token: what it says, and what its method has to say of it."""

    item: Item
    """Its bytes, not empty, or its role."""

    target_id: int | None = None
    """The target's token that it is, for methods whose proposals are target ids."""

    distribution: SparseDistribution | None = None
    """What it was drawn from (``tli``, ``rejection``)."""

    psi: float | None = None
    """Its ψ after the tokens of the block before it (``slrs``)."""

    confidence: float = 1.0
    """The drafter's own probability of it; 1 where the drafter has none."""

    runners_up: tuple[RunnerUp, ...] = ()
    """The nearest first, where branches are drawn."""


@dataclass(frozen=True, slots=True)
class DrawnBranch:
    """A text that was drawn beside the draft."""

    start: TextPrefix
    """The generated text before it."""

    tokens: tuple[DraftToken, ...]
    """What it says; not empty."""

    end: BlockBase
    """The drafter's tokens of the text up to its end; its own are the last ones."""

    pauses: bool = False
    """Whether drafting would pause after it."""

    @property
    def ids(self) -> tuple[int, ...]:
        """The drafter's tokens."""
        return self.end.generated_ids[-len(self.tokens) :]

    @property
    def items(self) -> tuple[Item, ...]:
        """Their text."""
        return tuple(token.item for token in self.tokens)

    @property
    def goes_on(self) -> bool:
        """Whether anything follows it: it does not end the generation."""
        return self.tokens[-1].item not in TERMINAL_ROLES


@dataclass(frozen=True, slots=True)
class DraftPosition:
    """Where a draft token starts."""

    offset: int
    """Bytes generated before it."""

    tokens: int
    """Target tokens generated before it, those of the draft included."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """A commit that the drawn text does not begin with."""

    dropped_tokens: int
    """Drawn tokens, counted from the last one, that are no longer part of the text."""

    items: tuple[Item, ...]
    """The committed text after the tokens that stay, one item for each of the target's tokens; what the proposer has to
    go on from."""

    wasted_bytes: int = 0
    """Drawn bytes that the commit contradicts."""

    branch: DrawnBranch | None = None
    """Begins where the tokens that stay end, and with the committed text: the proposer has it in its place."""
