"""Serves a corpus with every method at every temperature, and keeps what each was worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from draftmesh.client import GenerateOptions
from draftmesh.core.errors import UnsupportedMethodError
from draftmesh.core.sampling import Method
from draftmesh.inspection.measuring import Figures, Generator, methods_chosen, serve_prompts, sum_up
from draftmesh.inspection.psi_cost import PsiCost, PsiMeter


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What to serve."""

    prompts: tuple[str, ...]
    methods: tuple[str, ...]
    temperatures: tuple[float, ...]
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One method at one temperature."""

    method: str
    temperature: float
    figures: Figures | None
    """None: the method is not offered for this pair."""

    refusal: str = ""
    """Why it is not offered."""

    chosen: Mapping[str, int] = field(default_factory=dict)
    """How many sessions had each method; ``auto`` chooses them."""

    psi: PsiCost | None = None
    """What ψ cost; None where the method has none."""

    @property
    def tokens_per_second(self) -> float:
        """0 where nothing was measured."""
        return self.figures.tokens_per_second if self.figures else 0.0


async def run_trials(
    client: Generator, plan: TrialPlan, *, psi_meter: PsiMeter, progress: Callable[[str], None]
) -> tuple[Trial, ...]:
    """Serve every prompt with every method at every temperature; a method that is not offered is asked for once."""
    await serve_prompts(client, plan.prompts[:1], _options(plan, "off", 0.0), seed=plan.seed)  # warms everything up
    trials: list[Trial] = []
    refused: dict[str, str] = {}
    for temperature in plan.temperatures:
        for method in plan.methods:
            if method in refused:
                trials.append(Trial(method, temperature, None, refused[method]))
                continue
            progress(f"{method} at T = {temperature:g}")
            trials.append(await _trial(client, plan, method, temperature, psi_meter))
            refused |= {method: trials[-1].refusal} if trials[-1].refusal else {}
    return tuple(trials)


async def _trial(client: Generator, plan: TrialPlan, method: str, temperature: float, psi_meter: PsiMeter) -> Trial:
    before = psi_meter.read()
    seed = None if method == Method.AUTO.label else plan.seed  # with one it may choose keyed methods only
    try:
        served = await serve_prompts(client, plan.prompts, _options(plan, method, temperature), seed=seed)
    except UnsupportedMethodError as error:
        return Trial(method, temperature, None, str(error))
    figures = sum_up(served)
    psi = psi_meter.read().minus(before).cost(figures.tokens)
    return Trial(method, temperature, figures, chosen=methods_chosen(served), psi=psi)


def _options(plan: TrialPlan, method: str, temperature: float) -> GenerateOptions:
    return GenerateOptions(max_tokens=plan.max_tokens, temperature=temperature, method=method, timeout_s=None)
