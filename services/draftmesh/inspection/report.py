"""The whole of an inspection, as a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from draftmesh.client import AsyncClient
from draftmesh.coordinator.replicas import ReplicaSpec
from draftmesh.core.errors import UnsupportedError, UnsupportedMethodError
from draftmesh.inspection.psi_cost import PsiMeter
from draftmesh.inspection.recommendation import recommend
from draftmesh.inspection.served_pair import served_pair
from draftmesh.inspection.trials import Trial, TrialPlan, run_trials
from draftmesh.inspection.vocabularies import VocabularyReport


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found out about a pair; the fields of the JSON object."""

    vocabularies: VocabularyReport
    trials: tuple[Trial, ...]
    """Empty where only the tokenizers were inspected, or the pair cannot be served."""

    problem: str
    """Why the pair cannot be served, beyond its tokenizers; empty if nothing stands against it."""

    recommendation: str

    @property
    def can_be_paired(self) -> bool:
        """Whether nothing stands against the pair."""
        return not (self.problem or self.vocabularies.target.refusal or self.vocabularies.drafter.refusal)


def without_serving(vocabularies: VocabularyReport) -> Inspection:
    """The inspection of two tokenizers alone."""
    return Inspection(vocabularies, (), "", recommend(vocabularies, ()))


async def by_serving(
    vocabularies: VocabularyReport,
    replicas: Sequence[ReplicaSpec],
    plan: TrialPlan,
    *,
    psi_meter: PsiMeter,
    progress: Callable[[str], None],
) -> Inspection:
    """The inspection of a pair that is served here while it lasts; what refuses to run is part of the answer.

    Raises:
        ConfigError: a model is not there, or a configuration is wrong.
    """
    trials: tuple[Trial, ...] = ()
    problem = ""
    try:
        progress("loading the models")
        async with served_pair(replicas) as pair, AsyncClient(pair.address) as client:
            trials = await run_trials(client, plan, psi_meter=psi_meter, progress=progress)
    except UnsupportedMethodError:
        raise
    except UnsupportedError as error:
        problem = str(error)
    return Inspection(vocabularies, trials, problem, recommend(vocabularies, trials, problem))
