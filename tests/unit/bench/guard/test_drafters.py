"""Drafters that are of no use, and a process that hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file

from draftmesh.bench.guard import slow_drafter
from draftmesh.bench.guard.random_drafter import write_random_drafter
from draftmesh.bench.guard.slow_drafter import SlowDecoder, SlowDrafterConfig
from draftmesh.bench.guard.stopping import hanging
from draftmesh.core.errors import ConfigError
from draftmesh.demo.models import DRAFTER_SENTENCEPIECE, demo_model_path
from draftmesh.drafter.config import DrafterConfig
from draftmesh.engine.attention.register import AttentionContext
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.loading import load_model

pytestmark = pytest.mark.timeout(60)
SOURCE = demo_model_path(DRAFTER_SENTENCEPIECE)


def test_random_weights_keep_shape_and_tokenizer(tmp_path: Path) -> None:
    """The engine takes the model like any other; its weights are others, the same for the same seed."""
    first, same, other = (write_random_drafter(str(SOURCE), tmp_path / f"{n}", seed=s) for n, s in enumerate((3, 3, 4)))
    known = load_file(SOURCE / "model.safetensors")
    drawn = [load_file(folder / "model.safetensors") for folder in (first, same, other)]
    name = next(name for name in known if name.endswith("q_proj.weight"))
    assert drawn[0][name].shape == known[name].shape
    assert torch.equal(drawn[0][name], drawn[1][name])
    assert not any(torch.equal(drawn[0][name], weights[name]) for weights in (known, drawn[2]))
    loaded, source = (load_model(EngineConfig(model=str(path), threads=1)) for path in (first, SOURCE))
    assert loaded.tokenizer.digest == source.tokenizer.digest
    assert loaded.parameters == source.parameters


class Working:
    """A decoder that takes 5 ms, and says how many rows it was asked for."""

    device, dtype = torch.device("cpu"), torch.float32

    def logits(self, ids: object, positions: object, wanted: Sequence[int], attention: object) -> torch.Tensor:
        """One column."""
        del ids, positions, attention
        time.sleep(0.005)
        return torch.ones(len(wanted), 1)


def test_a_slow_forward_takes_its_multiple() -> None:
    """And says the same."""
    slow = SlowDecoder(Working(), 4.0)
    started_s = time.monotonic()
    said = slow.logits([1, 2], [0, 1], [0, 1], cast("AttentionContext", None))
    assert time.monotonic() - started_s >= 4 * 0.005
    assert torch.equal(said, torch.ones(2, 1))
    assert (slow.device, slow.dtype) == (Working.device, Working.dtype)


async def test_only_a_drafter_with_a_model_can_be_slow() -> None:
    """One without is refused by name, and so is one that would be faster."""
    engine = EngineConfig(model=str(SOURCE))
    for config in (
        SlowDrafterConfig(DrafterConfig(kind="ngram")),
        SlowDrafterConfig(DrafterConfig(engine=engine), slowdown=0.5),
    ):
        with pytest.raises(ConfigError, match="slowed down"):
            async with slow_drafter.running(config):
                pass


def test_a_hang_ends_with_its_context() -> None:
    """The process is stopped from the moment it is told to, and goes on afterwards."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        with hanging(process.pid) as hang:
            hang.begin()
            hang.begin()
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            assert os.WSTOPSIG(status) == signal.SIGSTOP
        _, status = os.waitpid(process.pid, os.WCONTINUED)
        assert os.WIFCONTINUED(status)
        process.communicate(b"\n", timeout=30)
    assert process.returncode == 0


def test_a_process_that_was_never_stopped_is_left_alone() -> None:
    """No signal goes out, not even to a process that is long gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(30)
    with hanging(process.pid) as hang:
        pass
    assert not hang.has_begun
