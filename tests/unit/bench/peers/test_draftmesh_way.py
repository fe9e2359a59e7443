"""draftmesh as a contestant."""

from __future__ import annotations

import pytest

from draftmesh.bench.peers.contestant import Task
from draftmesh.bench.peers.draftmesh_way import DraftmeshWay
from draftmesh.core.errors import UnsupportedMethodError
from tests.unit.inspection.scripted_generator import ScriptedGenerator

TASK = Task(prompt_ids=(3, 1, 2), temperature=0.5, max_tokens=10, seed=8)


async def test_the_prompts_ids_go_out_and_the_ledger_comes_back() -> None:
    """A peer gets the same ids, and is asked for the same figures."""
    client = ScriptedGenerator({"exact": 4})
    served = await DraftmeshWay(client, "exact").generate(TASK)
    assert client.asked == [((3, 1, 2), "exact", 0.5, 8)]
    assert (len(served.ids), served.way, served.drafted_tokens, served.accepted_tokens) == (10, "exact", 8, 4)
    assert served.seconds > 0


async def test_auto_goes_without_a_seed() -> None:
    """With one it may choose keyed methods only; what it chose is told."""
    client = ScriptedGenerator({"auto": 4, "tli": 4}, chosen="tli")
    served = await DraftmeshWay(client, "auto").generate(TASK)
    assert client.asked == [((3, 1, 2), "auto", 0.5, None)]
    assert served.way == "tli"


async def test_a_method_that_is_not_offered_is_an_error() -> None:
    """The turns go on without it."""
    with pytest.raises(UnsupportedMethodError):
        await DraftmeshWay(ScriptedGenerator({"exact": 4}), "slrs").generate(TASK)
