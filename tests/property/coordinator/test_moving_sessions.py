"""Sessions that leave their drafters for better ones, on real pools: their text is the target's own all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.coordinator.learning.traffic import traffic_of
from draftmesh.coordinator.pools.drafter_seating import DrafterRouting, DrafterSeats
from draftmesh.coordinator.routing.candidate import Wish
from draftmesh.coordinator.routing.config import RoutingConfig
from draftmesh.coordinator.routing.moving import MovingConfig
from draftmesh.coordinator.routing.rates import RatesConfig
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.sampling import Method, StopConditions
from tests.helpers.bound_rounds import bases_told, check_blocks
from tests.helpers.coordinator_bench import pool_of
from tests.helpers.generation_bench import (
    PROSE,
    Recorder,
    job_of,
    make_generation,
    make_instruments,
    seats_of,
    text_of,
    tiny_tokenizer,
)
from tests.helpers.peers.id_drafters import FakeIdDrafter
from tests.helpers.peers.text_drafters import FakeDrafter
from tests.helpers.peers.verifier import FakeVerifier
from tests.helpers.simulated_drafters import teach
from tests.helpers.virtual_time import run_virtual

TABLE = tiny_tokenizer().vocabulary
PATH = tuple(tiny_tokenizer().encode_bytes(PROSE.encode())[:150])
TOKENS = 100
METHODS = (Method.EXACT, Method.TLI, Method.TLI_EXACT, Method.SLRS)
FULL, FREE = LoadReport(active_sessions=8, max_sessions=8), LoadReport(max_sessions=8)
RESTLESS = RoutingConfig(moving=MovingConfig(margin=0.0, doubts=0.0, check_ms=50.0, pause_ms=0.0, max_moves=4))
"""Sessions move whenever another drafter seems better."""

QUICK = RoutingConfig(RatesConfig(window_tokens=8, window_noise=0.2, forgetting=0.8), MovingConfig(check_ms=200.0))
"""A session of a hundred tokens teaches enough to act on."""


class Scene:
    """Drafters, a verifier, and sessions of one method."""

    def __init__(self, method: Method, drafters: Sequence[FakeDrafter], config: RoutingConfig) -> None:
        self.method = method
        self.drafters = {f"drafter-{number}": drafter for number, drafter in enumerate(drafters)}
        self.verifier = FakeVerifier(PATH, TABLE, step_ms=50.0)
        self.pool = pool_of(**self.drafters)
        self.routing = DrafterRouting.create(config, make_instruments())
        self.traffic = traffic_of(b"target", method, temperature=0.0, prompt_tokens=3)

    def believe(self, address: str, bytes_per_s: float) -> None:
        """What is known of a drafter is this from now on."""
        self.routing.rates.forget(address)
        teach(self.routing.rates, address, bytes_per_s, digest=self.drafters[address].digest, traffic=self.traffic)

    async def generate(self, name: str = "") -> Recorder:
        """Run a session, with drafters of this name if there is one."""
        output = Recorder()
        wish = Wish(self.method, b"target", name=name, vocabulary_digest=TABLE.digest)
        drafters = DrafterSeats(self.pool, self.routing, wish, self.traffic)
        job = job_of(StopConditions(TOKENS), method=self.method, draft_tokens=4)
        await make_generation(job, seats_of(self.verifier), drafters, output).run()
        return output


def drafter(method: Method, digest: bytes, *, accuracy: float, token_ms: float = 3.0) -> FakeDrafter:
    """Of what the method drafts."""
    if method.proposes_ids:
        return FakeIdDrafter(PATH, TABLE, accuracy=accuracy, token_ms=token_ms, digest=digest)
    peer = FakeDrafter(text_of(PATH), accuracy=accuracy, token_ms=token_ms, name=digest.decode())
    peer.digest = digest
    return peer


async def change_minds(scene: Scene, course: Sequence[tuple[float, Sequence[float]]]) -> None:
    """After each pause, what is believed of the drafters."""
    for pause_s, rates in course:
        for address, bytes_per_s in zip(scene.drafters, rates, strict=True):
            scene.believe(address, bytes_per_s)
        await asyncio.sleep(pause_s)


worths = st.lists(st.sampled_from([1.0, 10.0, 20.0, 50.0]), min_size=3, max_size=3)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(METHODS),
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=3, max_size=3),
    st.lists(st.tuples(st.floats(0.0, 1.0), worths), max_size=5),
)
def test_a_session_that_moves_says_what_the_target_says(
    method: Method, accuracies: list[float], course: list[tuple[float, list[float]]]
) -> None:
    """Whatever its drafters are worth, and whenever they seem to be worth something else; moves are no failures."""
    scene = Scene(
        method,
        [drafter(method, b"%d" % number, accuracy=accuracy) for number, accuracy in enumerate(accuracies)],
        RESTLESS,
    )

    async def main() -> Recorder:
        async with scene.pool.open(scene.drafters):
            changing = asyncio.create_task(change_minds(scene, course))
            output = await scene.generate()
            await changing
            return output

    output = run_virtual(main())
    assert output.ids == PATH[:TOKENS]
    assert output.ledger.drafter_failures == 0
    streams = [len(peer.opened) for peer in scene.drafters.values()]
    assert max(streams) <= 1
    assert [peer.num_open for peer in scene.drafters.values()] == [0, 0, 0]
    if method is Method.SLRS:
        check_blocks(scene.verifier.rounds, TOKENS, 4)


def test_a_session_moves_when_the_better_drafter_is_free() -> None:
    """What its sessions have taught a shard is enough: nobody has told it who is good."""
    good, bad = drafter(Method.EXACT, b"good", accuracy=1.0), drafter(Method.EXACT, b"bad", accuracy=0.1)
    scene = Scene(Method.EXACT, [good, bad], QUICK)

    async def main() -> Recorder:
        async with scene.pool.open(scene.drafters):
            for name in ("good", "bad", "good", "bad"):
                await scene.generate(name)
            good.reports.say(FULL)
            await asyncio.sleep(1)
            session = asyncio.create_task(scene.generate())
            await asyncio.sleep(1)
            good.reports.say(FREE)
            return await session

    output = run_virtual(main())
    assert output.ids == PATH[:TOKENS]
    assert (len(good.opened), len(bad.opened)) == (3, 3)
    assert good.opened[-1].committed != ()
    assert output.ledger.drafter_failures == 0


def test_a_session_whose_drafter_gets_slow_moves() -> None:
    """It notices by itself, in the middle of its text."""
    fading, other = drafter(Method.EXACT, b"fading", accuracy=1.0), drafter(Method.EXACT, b"other", accuracy=0.8)
    scene = Scene(Method.EXACT, [fading, other], QUICK)

    async def main() -> Recorder:
        async with scene.pool.open(scene.drafters):
            for name in ("fading", "other") * 2:
                await scene.generate(name)
            other.reports.say(FULL)
            await asyncio.sleep(1)
            session = asyncio.create_task(scene.generate())
            await asyncio.sleep(0.3)
            other.reports.say(FREE)
            fading.silent = True
            return await session

    output = run_virtual(main())
    assert output.ids == PATH[:TOKENS]
    assert (len(fading.opened), len(other.opened)) == (3, 3)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_moves(method: Method) -> None:
    """There and on, each time that another drafter seems better, and once to each."""
    scene = Scene(method, [drafter(method, b"%d" % number, accuracy=0.8) for number in range(3)], RESTLESS)

    async def main() -> Recorder:
        async with scene.pool.open(scene.drafters):
            course = [(0.5, (50.0, 10.0, 10.0)), (0.5, (50.0, 100.0, 10.0)), (0.0, (50.0, 100.0, 200.0))]
            changing = asyncio.create_task(change_minds(scene, course))
            output = await scene.generate()
            await changing
            return output

    output = run_virtual(main())
    assert output.ids == PATH[:TOKENS]
    assert [len(peer.opened) for peer in scene.drafters.values()] == [1, 1, 1]


def test_a_session_with_blocks_moves_between_two_of_them() -> None:
    """``slrs``: the drafter that is left has been told of no base that the other one drafts for."""
    first, second = (drafter(Method.SLRS, digest, accuracy=0.8) for digest in (b"first", b"second"))
    scene = Scene(Method.SLRS, [first, second], RESTLESS)

    async def main() -> Recorder:
        async with scene.pool.open(scene.drafters):
            scene.believe("drafter-0", 50.0)
            scene.believe("drafter-1", 10.0)
            session = asyncio.create_task(scene.generate())
            await asyncio.sleep(0.5)
            scene.believe("drafter-1", 100.0)
            return await session

    output = run_virtual(main())
    assert output.ids == PATH[:TOKENS]
    assert (len(first.opened), len(second.opened)) == (1, 1)
    assert isinstance(first, FakeIdDrafter)
    assert bases_told(first)[-1] < second.opened[0].committed_tokens
    check_blocks(scene.verifier.rounds, TOKENS, 4)
