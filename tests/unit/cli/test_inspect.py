"""How ``draftmesh inspect`` has the pair served."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from draftmesh.cli import inspect as inspect_command
from draftmesh.cli.inspect import InspectOptions, inspect
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.replicas import ReplicaSpec
from draftmesh.inspection.psi_cost import PsiMeter
from draftmesh.inspection.report import Inspection, without_serving
from draftmesh.inspection.vocabularies import VocabularyReport
from tests.unit.inspection.scripted_generator import silent_psi_meter


@pytest.mark.parametrize("whole_drafts", [False, True])
def test_drafts_are_as_long_as_in_serving_unless_whole_ones_are_asked_for(
    whole_drafts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a user reads is what serving will show, and what depends on the models alone is one option away."""
    plans: list[Sequence[ReplicaSpec]] = []

    async def by_serving(found: VocabularyReport, plan: Sequence[ReplicaSpec], *_: object, **__: object) -> Inspection:
        plans.append(plan)
        return without_serving(found)

    monkeypatch.setattr(inspect_command, "by_serving", by_serving)
    monkeypatch.setattr(PsiMeter, "install", silent_psi_meter)
    monkeypatch.setattr(inspect_command, "configure_logging", lambda **_: None)
    inspect("demo", "demo", options=InspectOptions(whole_drafts=whole_drafts))
    shards = [spec.config for spec in plans[0] if isinstance(spec.config, CoordinatorConfig)]
    assert [shard.generation.draft_length.is_adaptive for shard in shards] == [not whole_drafts]
