"""kill -9 of a drafter while it drafts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from draftmesh.client import Chunk, Client, GenerateOptions
from draftmesh.demo.prompts import demo_prompts
from tests.helpers.up import UpProcess, up

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

OPTIONS = GenerateOptions(max_tokens=380, temperature=0.8, seed=7, ignore_eos=True)


@pytest.fixture
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """One drafter, and a target so large that its stream lasts longer than a drafter's restart."""
    log = tmp_path_factory.mktemp("up") / "log"
    with up("--drafter", "demo", log=log, target="demo") as process:
        yield process


def test_a_stream_outlives_its_drafter(deployed: UpProcess) -> None:
    """The stream goes on alone, then with the new drafter, and its text is that of the target without drafting."""
    prompt = demo_prompts()[0]
    with Client(deployed.listen) as client:
        alone = client.generate(prompt, replace(OPTIONS, method="off"))
        with client.stream(prompt, replace(OPTIONS, method="exact")) as stream:
            chunks = iter(stream)
            assert any(map(is_drafted, chunks))
            os.kill(deployed.replica("drafter").pid, signal.SIGKILL)
            after = list(chunks)
        drafted = stream.result
    assert drafted.data == alone.data
    assert drafted.ledger.drafter_failures >= 1
    assert drafted.ledger.free_run_tokens > 0
    assert any(map(is_drafted, after[len(after) // 2 :])), "the new drafter served nothing"


def is_drafted(chunk: Chunk) -> bool:
    """Whether a drafter proposed any of it."""
    return any(token.drafted for token in chunk.tokens)
