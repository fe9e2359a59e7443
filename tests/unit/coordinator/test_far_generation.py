"""A session whose drafter or verifier is far away, in virtual time."""

from __future__ import annotations

import asyncio
from statistics import fmean

from draftmesh.coordinator.loop.config import GenerationConfig
from draftmesh.core.endpoint import CostPoint, LoadReport
from draftmesh.core.sampling import StopConditions
from tests.helpers.generation_bench import PROSE, Recorder, job_of, make_generation, seats_of, text_of, tiny_tokenizer
from tests.helpers.peers.far import FarDrafter, FarVerifier
from tests.helpers.peers.text_drafters import FakeDrafter
from tests.helpers.peers.verifier import FakeVerifier
from tests.helpers.virtual_time import run_virtual

PATH = tuple(tiny_tokenizer().encode_bytes((3 * PROSE).encode()))
LENGTH = 140
COSTS = LoadReport(costs=(CostPoint(1, 60.0), CostPoint(8, 70.0)))


def mean_s(config: GenerationConfig, *, to_drafter_ms: float = 0.0, to_verifier_ms: float = 0.0) -> float:
    """How long a session takes whose target needs 60 ms a step, with a drafter that is right nine times of ten."""
    far = {"to_drafter_ms": to_drafter_ms, "to_verifier_ms": to_verifier_ms}
    return fmean(_seconds(config, seed, **far) for seed in range(4))


def _seconds(config: GenerationConfig, seed: int, *, to_drafter_ms: float, to_verifier_ms: float) -> float:
    output = Recorder()
    verifier = FarVerifier(FakeVerifier(PATH, tiny_tokenizer().vocabulary, step_ms=60.0, seed=seed), to_verifier_ms)
    drafter = FarDrafter(FakeDrafter(text_of(PATH), accuracy=0.9, token_ms=3.0, branches=6, seed=seed), to_drafter_ms)

    async def main() -> float:
        job = job_of(StopConditions(max_tokens=LENGTH), draft_tokens=6)
        verifiers, drafters = seats_of(verifier, load=COSTS), seats_of(drafter, limit_tokens=32)
        await make_generation(job, verifiers, drafters, output, config).run()
        return asyncio.get_running_loop().time()

    duration_s = run_virtual(main())
    assert output.ids == PATH[:LENGTH]
    return duration_s


def test_a_verifier_that_is_far_does_not_wait_for_what_was_guessed() -> None:
    """Where a guess comes true, a round trip is saved."""
    waits, goes_on = (mean_s(GenerationConfig(rounds_ahead=rounds), to_verifier_ms=20.0) for rounds in (0, 8))
    assert goes_on < 0.95 * waits


def test_delay_costs_less_than_the_gain() -> None:
    """With a drafter that is a step of the target away, drafting is faster than none."""
    assert mean_s(GenerationConfig(), to_drafter_ms=60.0) < 0.75 * LENGTH * 0.06


def test_a_far_verifier_that_drains_is_left_though_much_could_be_sent_ahead() -> None:
    """What is under way ends, and nothing new is sent."""
    inner = [FakeVerifier(PATH, tiny_tokenizer().vocabulary, step_ms=60.0) for _ in range(2)]
    drafter = FakeDrafter(text_of(PATH), accuracy=1.0, token_ms=1.0, branches=6)
    verifiers = seats_of(*(FarVerifier(one, 60.0) for one in inner), load=COSTS)
    output = Recorder()

    async def main() -> int:
        job, drafters = job_of(StopConditions(max_tokens=LENGTH), draft_tokens=6), seats_of(drafter, limit_tokens=32)
        running = asyncio.create_task(make_generation(job, verifiers, drafters, output, GenerationConfig()).run())
        await asyncio.sleep(1.0)
        said = len(output.ids)
        verifiers.seats[-1].retiring.set()
        await running
        return said

    said = run_virtual(main())
    assert output.ids == PATH[:LENGTH]
    assert 10 < said < len(inner[1].opened[0].committed_ids) < said + 40
