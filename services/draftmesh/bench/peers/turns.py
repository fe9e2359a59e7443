"""Has everybody do every task, in turns, so that a machine that is busy for a while is busy for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from draftmesh.bench.peers.contestant import Contestant, Served, Task
from draftmesh.bench.rotation import rotated
from draftmesh.core.errors import UnsupportedError

_SEEDS_OF_A_REPEAT = 1000


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """The tasks."""

    prompts: tuple[tuple[int, ...], ...]
    """Token ids of each prompt."""

    repeats: int
    max_tokens: int
    seed: int
    """Of the first generation; the others count up."""


@dataclass(slots=True)
class Entry:
    """One contestant at one temperature, and what it has done so far."""

    label: str
    temperature: float
    contestant: Contestant
    warm_up_tasks: int = 1
    """Tasks that it does before it is measured."""

    served: list[Served] = field(default_factory=list)
    """In the order of the tasks; empty if it was refused."""

    refusal: str = ""
    """Why it takes no part (any longer)."""

    async def do(self, task: Task) -> Served | None:
        """Do a task, or none from the first refusal on."""
        if self.refusal:
            return None
        try:
            return await self.contestant.generate(task)
        except UnsupportedError as error:
            self.refusal = str(error)
            self.served.clear()
            return None


async def take_turns(entries: Sequence[Entry], plan: TurnPlan, *, progress: Callable[[str], None]) -> None:
    """Fill the entries: all of a temperature do a prompt before anybody does the next one, another one first each time.

    Args:
        entries: Those of a temperature are compared with each other.
        plan: What to do.
        progress: Is told what is going on.
    """
    for entry in entries:
        progress(f"warming up: {entry.label} at T = {entry.temperature:g}")
        for index in range(entry.warm_up_tasks):
            await entry.do(_task(plan, entry, 0, index % len(plan.prompts)))
    temperatures = dict.fromkeys(entry.temperature for entry in entries)
    for repeat in range(plan.repeats):
        for index in range(len(plan.prompts)):
            for temperature in temperatures:
                alike = [entry for entry in entries if entry.temperature == temperature]
                line = await _turn(rotated(alike, repeat * len(plan.prompts) + index), plan, repeat, index)
                progress(f"repeat {repeat + 1}, prompt {index + 1}, T = {temperature:g}: {line} tokens/s")


async def _turn(entries: Sequence[Entry], plan: TurnPlan, repeat: int, index: int) -> str:
    """One task for all; their speeds in words."""
    speeds = []
    for entry in entries:
        if (served := await entry.do(_task(plan, entry, repeat, index))) is not None:
            entry.served.append(served)
            speeds.append(f"{entry.label} {served.tokens_per_second:.1f}")
    return ", ".join(speeds)


def _task(plan: TurnPlan, entry: Entry, repeat: int, index: int) -> Task:
    seed = plan.seed + repeat * _SEEDS_OF_A_REPEAT + index
    return Task(plan.prompts[index], entry.temperature, plan.max_tokens, seed)
