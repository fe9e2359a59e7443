"""The coordinator's generation loop against the verifier's own rounds and engine: drafting changes nothing, ever.

Each scene is drawn from a seed: a target, stop conditions, drafters, and verifiers that die or drain. What must come
out is what the same target says through the same parts with the method ``off``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from itertools import takewhile
from random import Random

import pytest
import torch

from draftmesh.core.endpoint import LoadReport
from draftmesh.core.errors import DraftmeshError, ExhaustedError, UnavailableError
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import FinishReason, Method, SamplingParams, StopConditions
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, TokenLogprobs, Verdict, VerifyRound
from tests.helpers.generation_bench import (
    CROWDED,
    HURRIED,
    IDLE,
    PROSE,
    Recorder,
    eos_id,
    job_of,
    make_generation,
    seats_of,
    text_of,
    tiny_tokenizer,
)
from tests.helpers.peers.far import FarDrafter, FarVerifier
from tests.helpers.peers.text_drafters import FakeDrafter, FloodingDrafter, LyingDrafter, MalformedDrafter
from tests.helpers.peers.wire import Faults
from tests.helpers.real_rounds_verifier import NoisyTarget, RealRoundsVerifier
from tests.helpers.virtual_time import run_virtual

SEEDS = range(48)
TIME_LIMIT_S = 1000.0
"""Virtual seconds that no scene comes near, so that one that makes no progress ends."""

DRAFTERS = (*[FakeDrafter] * 6, LyingDrafter, FloodingDrafter, MalformedDrafter)


@dataclass(frozen=True)
class Scene:
    """Everything that a run depends on but the method, what goes wrong, and the drafters."""

    target: NoisyTarget
    stop: StopConditions
    sampling: SamplingParams
    draft_tokens: int
    step_ms: float
    flush_interval_ms: float
    load: LoadReport
    """What verifiers tell of."""

    rtt_ms: float
    """There and back, to verifiers and drafters alike."""

    seed: int

    def verifier(self, faults: Faults | None = None) -> RealRoundsVerifier:
        """A verifier of this target."""
        return RealRoundsVerifier(
            self.target,
            tiny_tokenizer().vocabulary,
            step_ms=self.step_ms,
            flush_interval_ms=self.flush_interval_ms,
            faults=faults,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Said:
    """What a client gets."""

    ids: tuple[int, ...]
    text: bytes
    finish_reason: FinishReason | None
    logprobs: tuple[TokenLogprobs | None, ...]
    committed_tokens: int


@dataclass(frozen=True)
class Played:
    """A scene with drafting and mishaps, after its end."""

    scene: Scene
    expected: Said
    said: Said
    ledger: Ledger
    answers: list[tuple[VerifyRound, Verdict]]
    """Rounds with a draft, and what was said to each first: all else is what the target has said after it."""

    held: list[tuple[int, int, int]]
    open_drafts: int
    reopened: int
    drained: bool

    @property
    def trimmed_rounds(self) -> int:
        """Rounds whose first draft tokens were committed by the time they were judged."""
        return sum(
            verdict.status is RoundStatus.DONE and verdict.base.length > request.base.length
            for request, verdict in self.answers
        )

    def due_answer(self, request: VerifyRound, committed: int) -> tuple[RoundStatus, int]:
        """Status and accepted tokens of a draft that meets so many committed tokens."""
        ids, overlap = self.expected.ids, committed - request.base.length
        follows = overlap >= 0 and TokenPrefix().extend(ids[: request.base.length]) == request.base
        fits = overlap < len(request.draft_ids) and request.draft_ids[:overlap] == ids[request.base.length : committed]
        if committed == len(ids) or not (follows and fits):
            return RoundStatus.STALE, 0
        pairs = zip(request.draft_ids[overlap:], ids[committed:], strict=False)
        right = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        return RoundStatus.DONE, min(right, self.scene.stop.max_tokens - committed - 1)


def scene_of(random: Random) -> Scene:
    """Any target, sampling and stop conditions; a stop string, if there is one, occurs in the text."""
    table = tiny_tokenizer()
    start = random.randrange(100)
    path = (*table.encode_bytes(PROSE[start : start + random.randint(10, 100)].encode()), eos_id())
    scene = Scene(
        NoisyTarget(len(table.vocabulary), path, lean=random.choice([0.0, 10.0, 12.0]), seed=random.getrandbits(32)),
        StopConditions(random.choice([1, 20, 60, 120]), ignore_eos=random.random() < 0.3),
        SamplingParams(temperature=random.choice([0.0, 1.0]), logprobs=random.choice([None, 1])),
        draft_tokens=random.choice([1, 4, 8, 8]),
        step_ms=random.choice([5.0, 60.0, 200.0]),
        flush_interval_ms=random.choice([0.0, 50.0, 300.0]),
        load=random.choice([IDLE, CROWDED, HURRIED]),
        rtt_ms=random.choice([0.0, 0.0, 20.0, 100.0]),
        seed=random.getrandbits(32),
    )
    text = said_alone(scene).text
    if not text or random.random() < 0.7:
        return scene
    start = max(random.randrange(len(text)), random.randrange(len(text)))
    stop = dataclasses.replace(scene.stop, stop=(text[start : start + random.randint(1, 6)],))
    return dataclasses.replace(scene, stop=stop)


def drafters_of(random: Random, truth: bytes) -> list[FakeDrafter]:
    """Right, wrong and partly right ones that know the whole text and more, slow, dying, lying, flooding ones."""
    return [
        random.choice(DRAFTERS)(
            truth + b"and more",
            accuracy=random.choice([1.0, 1.0, 0.9, 0.5, 0.0]),
            token_ms=random.choice([0.5, 5.0, 30.0]),
            branches=random.choice([0, 6]),
            faults=Faults(lifetimes=[random.choice([None, None, 3, 20]) for _ in range(3)]),
            seed=random.getrandbits(32),
        )
        for _ in range(random.randint(1, 2))
    ]


def faults_of(random: Random) -> Faults:
    """A verifier that refuses some sessions and drops others, but not for longer than the coordinator's patience."""
    errors: list[DraftmeshError | None] = [None, None, UnavailableError("gone"), ExhaustedError("full")]
    return Faults(
        open_errors=[random.choice(errors) for _ in range(random.randint(0, 2))],
        lifetimes=[random.choice([None, 0, 1, 3, 10]) for _ in range(random.randint(0, 6))],
        repeat_rate=random.choice([0.0, 0.3]),
    )


async def generate(
    scene: Scene,
    method: Method,
    verifiers: Sequence[RealRoundsVerifier],
    drafters: Sequence[FakeDrafter],
    drain_after_s: float | None = None,
) -> Recorder:
    """Run a session to its end; ``drain_after_s`` drains the verifier that has the session by then."""
    seats = seats_of(*(FarVerifier(verifier, scene.rtt_ms) for verifier in verifiers), load=scene.load)
    output = Recorder()
    job = job_of(scene.stop, method=method, draft_tokens=scene.draft_tokens)
    job = dataclasses.replace(job, sampling=scene.sampling)
    far = [FarDrafter(drafter, scene.rtt_ms) for drafter in drafters]
    generation = make_generation(job, seats, seats_of(*far) if far else None, output)

    def drain() -> None:
        seats.seats[-1].peer.near.drain()
        seats.seats[-1].retiring.set()

    async with AsyncExitStack() as serving, asyncio.timeout(TIME_LIMIT_S):
        for verifier in verifiers:
            await serving.enter_async_context(verifier.serving())
        if drain_after_s is not None:
            timer = asyncio.get_running_loop().call_later(drain_after_s, drain)
            serving.callback(timer.cancel)
        await generation.run()
    return output


def first_answers(answers: Sequence[tuple[VerifyRound, Verdict]]) -> list[tuple[VerifyRound, Verdict]]:
    """The first answer to each round."""
    return list({id(request): (request, verdict) for request, verdict in reversed(answers)}.values())[::-1]


def said(output: Recorder) -> Said:
    """What came out."""
    logprobs = tuple(token.logprobs for token in output.tokens)
    return Said(output.ids, output.text, output.finish_reason, logprobs, output.ledger.committed_tokens)


def said_alone(scene: Scene) -> Said:
    """What the target says without any drafter or mishap."""

    async def main() -> Said:
        return said(await generate(scene, Method.OFF, [scene.verifier()], []))

    return run_virtual(main())


@functools.cache
def played(seed: int) -> Played:
    """The scene of this seed."""
    torch.set_num_threads(1)
    random = Random(seed)
    scene = scene_of(random)
    expected = said_alone(scene)

    async def main() -> Played:
        verifiers = [scene.verifier(faults_of(random)) for _ in range(2)]
        drafters = drafters_of(random, text_of(expected.ids))
        drain_after_s = random.choice([None, 0.05, 0.3, 2.0])
        output = await generate(scene, Method.EXACT, verifiers, drafters, drain_after_s)
        return Played(
            scene,
            expected,
            said(output),
            output.ledger,
            first_answers([answer for verifier in verifiers for answer in verifier.answers if answer[0].draft_ids]),
            held=[verifier.held for verifier in verifiers],
            open_drafts=sum(drafter.num_open for drafter in drafters),
            reopened=sum(verifier.num_opened for verifier in verifiers) - 1,
            drained=any(verifier.draining for verifier in verifiers),
        )

    return run_virtual(main())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_session_gets_what_off_gives(seed: int) -> None:
    """Tokens, text, token count, log probabilities and finish reason are those of the method ``off``."""
    assert played(seed).said == played(seed).expected


@pytest.mark.parametrize("seed", SEEDS)
def test_each_draft_is_judged_where_it_stands(seed: int) -> None:
    """A draft that disagrees with what is committed by then is stale, any other is accepted as far as it is right."""
    scene = played(seed)
    expected = [scene.due_answer(request, verdict.base.length) for request, verdict in scene.answers]
    assert [(verdict.status, verdict.accepted) for _, verdict in scene.answers] == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_a_session_sends_is_refused_for_its_form(seed: int) -> None:
    """Where nothing goes wrong, its one stream lasts to the end, however many rounds are under way."""
    random = Random(seed)
    scene = scene_of(random)
    truth = text_of(said_alone(scene).ids)

    async def main() -> int:
        accuracy, token_ms = random.choice([1.0, 0.9, 0.5]), random.choice([0.5, 5.0])
        drafter = FakeDrafter(truth, accuracy=accuracy, token_ms=token_ms, branches=16, seed=seed)
        verifier = scene.verifier()
        await generate(scene, Method.EXACT, [verifier], [drafter])
        return verifier.num_opened

    assert run_virtual(main()) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_stays_held(seed: int) -> None:
    """After the end no verifier holds a place, a sequence or a KV block, and no draft stream is open."""
    scene = played(seed)
    assert (scene.held, scene.open_drafts) == ([(0, 0, 0), (0, 0, 0)], 0)


@pytest.mark.parametrize("seed", SEEDS[::4])
def test_cancelling_frees_everything(seed: int) -> None:
    """However far a session is when it is cancelled, its verifiers and drafters hold nothing afterwards."""
    random = Random(seed)
    scene = scene_of(random)

    async def main() -> tuple[list[tuple[int, int, int]], int]:
        verifiers = [scene.verifier(faults_of(random)) for _ in range(2)]
        drafters = drafters_of(random, PROSE.encode())
        task = asyncio.create_task(generate(scene, Method.EXACT, verifiers, drafters))
        await asyncio.sleep(2.0 * random.random())
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return [verifier.held for verifier in verifiers], sum(drafter.num_open for drafter in drafters)

    assert run_virtual(main()) == ([(0, 0, 0), (0, 0, 0)], 0)


def test_the_scenes_hold_every_mishap() -> None:
    """Among the scenes are stale, trimmed and accepted rounds, failovers, drains, lost drafters, and every ending."""
    scenes = [played(seed) for seed in SEEDS]
    counts = {
        "stale rounds": sum(scene.ledger.stale_rounds for scene in scenes),
        "trimmed rounds": sum(scene.trimmed_rounds for scene in scenes),
        "accepted tokens": sum(scene.ledger.accepted_tokens for scene in scenes),
        "lost drafters": sum(scene.ledger.drafter_failures for scene in scenes),
        "failovers": sum(scene.reopened for scene in scenes),
        "drains": sum(scene.drained for scene in scenes),
    }
    assert {what: count for what, count in counts.items() if count < 5} == {}
    assert {scene.said.finish_reason for scene in scenes} == {FinishReason.EOS, FinishReason.STOP, FinishReason.LENGTH}
