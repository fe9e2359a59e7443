"""What of a draft may have been drawn where drafting pauses because of what the draft says.

Of such a draft the length, and so the time at which it is whole, depends on its own text. What was drawn where pauses
were not asked for, or before a parting, has the length that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from draftmesh.core.draft import Block, DraftExtent
from draftmesh.core.text import Item, items_length


class PauseBook:
    """Of one session's draft."""

    def __init__(self, committed: Iterable[Item]) -> None:
        """With ``committed`` generated already, and no drafter yet."""
        self._committed_bytes = items_length(committed)
        self._shaped_bytes = -1  # where the draft's last such text ends
        self._last_seq = -1  # the newest commit that asked for pauses; 0: the stream's first message did
        self.drafter_pauses = False
        """Whether the drafter that has last been at work heeds the least confidence of a draft."""

    @property
    def is_shaped(self) -> bool:
        """Whether the draft may have such text. For a while also when it has parted from what was committed."""
        return self._shaped_bytes >= self._committed_bytes

    def settle(self, items: Iterable[Item]) -> None:
        """The target has committed this."""
        self._committed_bytes += items_length(items)

    def restart(self, first: DraftExtent, *, drafter_pauses: bool) -> None:
        """A drafter's stream begins, and with it another draft."""
        self.drafter_pauses = drafter_pauses
        self._shaped_bytes = self._last_seq = -1
        self.ask(0, first)

    def ask(self, commit_seq: int, extent: DraftExtent) -> None:
        """The drafter is told of a commit, and how far to go beyond it."""
        if self.drafter_pauses and extent.least_confidence > 0.0:
            self._last_seq = commit_seq

    def take(self, block: Block) -> None:
        """A block was of use. It may have been drawn while a later commit was on its way."""
        if block.commit_seq <= self._last_seq:
            self._shaped_bytes = block.start.length + block.length
