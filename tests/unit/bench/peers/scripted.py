"""A contestant that answers at once, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Sequence

from draftmesh.bench.peers.contestant import Served, Task
from draftmesh.core.errors import UnsupportedError


class ScriptedContestant:
    """Says as many tokens as it may, at the speeds given, one after the other and again.

    Args:
        speeds: Tokens per second.
        drafted: Draft tokens of each generation, in as many rounds as there are accepted ones.
        accepted: Of those, accepted.
        fails_from: The number of the task, from 0, that it cannot do.
    """

    def __init__(self, *speeds: float, drafted: int = 0, accepted: int = 0, fails_from: int | None = None) -> None:
        self._speeds = speeds
        self._drafted = drafted
        self._accepted = accepted
        self._fails_from = fails_from
        self.asked: list[Task] = []

    async def generate(self, task: Task) -> Served:
        """The prompt's first id, again and again."""
        number = len(self.asked)
        self.asked.append(task)
        if self._fails_from is not None and number >= self._fails_from:
            raise UnsupportedError("it crashed")
        ids = task.prompt_ids[:1] * task.max_tokens
        seconds = len(ids) / self._speeds[number % len(self._speeds)]
        return Served(ids, seconds, "SLEM" if self._drafted else "", self._drafted, self._accepted, self._accepted)


def prompts_of(contestant: ScriptedContestant) -> Sequence[tuple[int, ...]]:
    """Prompts that it was asked for, in order."""
    return [task.prompt_ids for task in contestant.asked]
