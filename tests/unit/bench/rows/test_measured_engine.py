"""An engine in a process of its own, on the packaged target."""

from __future__ import annotations

from dataclasses import replace

import pytest
from safetensors.torch import load_file

from draftmesh.bench.rows.engine_process import EngineSpec, Memory
from draftmesh.bench.rows.measured_engine import measured_engine
from draftmesh.core.errors import UnsupportedError
from draftmesh.demo.models import TARGET, demo_model_path
from draftmesh.engine.config import EngineConfig

pytestmark = pytest.mark.timeout(120)

SPEC = EngineSpec(
    config=EngineConfig(
        model=str(demo_model_path(TARGET)), dtype="float32", threads=1, packed_linear=False, kv_cache_tokens=256
    ),
    context="def add(a, b):\n",
    context_tokens=64,
    most_rows=8,
)


async def test_an_engine_takes_steps_when_asked() -> None:
    """It says how large its model is, that nothing is packed, how long each step takes, and what memory it has."""
    async with measured_engine("engine", SPEC) as engine:
        steps = [await engine.step_ms(rows) for rows in (1, 8, 1)]
        memory = await engine.memory()
    weights = load_file(demo_model_path(TARGET) / "model.safetensors").values()
    assert (engine.parameters, engine.packed_layers) == (sum(weight.numel() for weight in weights), 0)
    assert all(milliseconds > 0 for milliseconds in steps)
    assert memory is None or isinstance(memory, Memory)


async def test_rows_that_do_not_fit_are_refused() -> None:
    """With the numbers; the model's context ends at 512, whatever room there is for KV."""
    roomy = replace(SPEC.config, kv_cache_tokens=1024)
    with pytest.raises(UnsupportedError, match="8 rows do not fit behind 508 tokens"):
        async with measured_engine("engine", replace(SPEC, context_tokens=508, config=roomy)):
            pass
