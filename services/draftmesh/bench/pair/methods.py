"""Every decoding method on one pair in one run: what is accepted, and how fast it is.

The rows of a temperature take turns, prompt by prompt, so that a machine that is busy for a while is busy for all of
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from draftmesh.bench.comparison import Share, share
from draftmesh.bench.rotation import rotated
from draftmesh.client import GenerateOptions
from draftmesh.core.errors import UnsupportedMethodError
from draftmesh.core.sampling import Method
from draftmesh.inspection.measuring import (
    Generator,
    Timed,
    methods_chosen,
    serve_prompts,
    sum_up,
    tokens_per_second,
)
from draftmesh.inspection.psi_cost import PsiCount, PsiMeter
from draftmesh.inspection.trials import Trial

_SEEDS_OF_A_REPEAT = 1000


@dataclass(frozen=True, slots=True)
class Setting:
    """One way of decoding: a method, through one of the shards."""

    label: str
    method: str
    shard: str
    is_seeded: bool = True
    """Whether its generations have the seeds that the other rows have; ``auto`` may choose more without."""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What to measure."""

    settings: tuple[Setting, ...]
    prompts: tuple[str, ...]
    temperatures: tuple[float, ...]
    repeats: int
    max_tokens: int
    seed: int
    auto_warm_up: int = 16
    """Generations that ``auto`` gets before it is measured: it tries every method some times, and remembers."""


@dataclass(frozen=True, slots=True)
class BenchRow:
    """What was measured of one setting at one temperature, over all repeats."""

    label: str
    trial: Trial
    of_best: Share | None = None
    """Its speed as a share of that of the fastest row at this temperature; None if it is not offered."""


class _Cell:
    """Collects the repeats of one setting at one temperature."""

    def __init__(self, setting: Setting, temperature: float, plan: BenchPlan) -> None:
        self.setting = setting
        self.temperature = temperature
        self.served: list[Timed] = []
        self.refusal = ""
        self._plan = plan
        self._options = GenerateOptions(
            max_tokens=plan.max_tokens, temperature=temperature, method=setting.method, timeout_s=None
        )
        self._psi = PsiCount()

    async def warm_up(self, client: Generator) -> None:
        """Serve what does not count: a prompt, or as many as ``auto`` needs to know every method.

        Finds out whether the method is offered.
        """
        count = self._plan.auto_warm_up if self.setting.method == Method.AUTO.label else 1
        prompts = [self._plan.prompts[index % len(self._plan.prompts)] for index in range(count)]
        try:
            await serve_prompts(client, prompts, self._options, seed=self._seed(0))
        except UnsupportedMethodError as error:
            self.refusal = str(error)

    async def serve(self, client: Generator, turn: int, psi_meter: PsiMeter) -> None:
        """Serve one prompt: that of this turn."""
        repeat, index = divmod(turn, len(self._plan.prompts))
        before, seed = psi_meter.read(), self._seed(repeat)
        prompt_seed = None if seed is None else seed + index
        self.served += await serve_prompts(client, [self._plan.prompts[index]], self._options, seed=prompt_seed)
        self._psi = self._psi.plus(psi_meter.read().minus(before))

    def row(self, best: Sequence[Timed]) -> BenchRow:
        """What was measured; ``best``: the fastest cell's generations."""
        setting = self.setting
        if self.refusal:
            return BenchRow(setting.label, Trial(setting.method, self.temperature, None, self.refusal))
        figures = sum_up(self.served)
        psi = self._psi.cost(figures.tokens)
        trial = Trial(setting.method, self.temperature, figures, chosen=methods_chosen(self.served), psi=psi)
        return BenchRow(setting.label, trial, share(self.served, best))

    def _seed(self, number: int) -> int | None:
        return self._plan.seed + number * _SEEDS_OF_A_REPEAT if self.setting.is_seeded else None


async def bench_methods(
    clients: Mapping[str, Generator], plan: BenchPlan, *, psi_meter: PsiMeter, progress: Callable[[str], None]
) -> tuple[BenchRow, ...]:
    """Measure every setting at every temperature.

    Args:
        clients: By the shards that the settings name.
        plan: What to measure.
        psi_meter: Of this process.
        progress: Is told what is going on.
    """
    cells = [_Cell(setting, temperature, plan) for temperature in plan.temperatures for setting in plan.settings]
    for cell in cells:
        progress(f"warming up: {_name(cell)}")
        await cell.warm_up(clients[cell.setting.shard])
    offered = [cell for cell in cells if not cell.refusal]
    turns = plan.repeats * len(plan.prompts)
    for temperature in plan.temperatures:
        alike = [cell for cell in offered if cell.temperature == temperature]
        for turn in range(turns):
            for cell in rotated(alike, turn):
                await cell.serve(clients[cell.setting.shard], turn, psi_meter)
            progress(f"T = {temperature:g}: {turn + 1} of {turns} turns")
    return tuple(cell.row(_best(offered, cell.temperature)) for cell in cells)


def _best(cells: Sequence[_Cell], temperature: float) -> Sequence[Timed]:
    """The generations of the fastest cell at a temperature."""
    return max((cell.served for cell in cells if cell.temperature == temperature), key=tokens_per_second, default=())


def _name(cell: _Cell) -> str:
    return f"{cell.setting.label} at T = {cell.temperature:g}"
