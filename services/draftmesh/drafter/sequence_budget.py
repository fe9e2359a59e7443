"""How many sequences of the engine sessions may open beside their own: for ψ (``slrs``), and for branches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class SequenceBudget:
    """Of all sessions together. For the engine's thread."""

    free: int

    def take(self) -> bool:
        """Take one; whether there was one."""
        if self.free <= 0:
            return False
        self.free -= 1
        return True

    def give_back(self, count: int) -> None:
        """Return some."""
        self.free += count
