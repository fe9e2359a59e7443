"""A whole deployment in one process: verifiers, drafters and shards on loopback, with the packaged models.

Everything but Ray is the real thing: each daemon has its own gRPC server, engine and engine thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from draftmesh.client import AsyncClient, GenerateOptions, Generation
from draftmesh.coordinator import app as coordinator
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.loop.config import GenerationConfig
from draftmesh.coordinator.loop.draft_length import DraftLengthConfig
from draftmesh.coordinator.loop.pace import PaceConfig
from draftmesh.coordinator.replicas import Membership
from draftmesh.coordinator.tasks import any_change
from draftmesh.demo.models import DRAFTER_SENTENCEPIECE, DRAFTER_UNIGRAM, MODEL_NAMES, TARGET, demo_model_path
from draftmesh.drafter import app as drafter
from draftmesh.drafter.config import DrafterConfig
from draftmesh.engine.config import EngineConfig
from draftmesh.verifier import app as verifier
from draftmesh.verifier.config import VerifierConfig

NGRAM = "ngram"
DRAFTERS = (DRAFTER_SENTENCEPIECE, DRAFTER_UNIGRAM, NGRAM)
SESSIONS = 64
PATIENT = CoordinatorConfig(
    listen="127.0.0.1:0",
    drain_grace_s=0.0,
    generation=GenerationConfig(
        pace=PaceConfig(min_wait_ms=250.0, max_wait_ms=250.0), draft_length=DraftLengthConfig(is_adaptive=False)
    ),
)
"""A shard that waits for drafts though they do not pay, the packaged target being as quick as its drafters."""


@dataclass
class Deployment:
    """Daemons that serve."""

    verifiers: list[verifier.Running] = field(default_factory=list)
    drafters: list[drafter.Running] = field(default_factory=list)
    shards: list[coordinator.Running] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where clients connect."""
        return self.shards[0].address


def target_engine(model: str | None = None) -> EngineConfig:
    """The packaged target on one thread."""
    return EngineConfig(model=model or str(demo_model_path(TARGET)), dtype="float32", threads=1, max_sequences=SESSIONS)


def drafter_config(name: str) -> DrafterConfig:
    """A packaged drafter, a model's folder or hub name, or ``ngram``."""
    config = DrafterConfig(kind="ngram", listen="127.0.0.1:0", max_sessions=SESSIONS, drain_grace_s=0.0)
    if name == NGRAM:
        return config
    model = str(demo_model_path(name)) if name in MODEL_NAMES else name
    engine = EngineConfig(model=model, dtype="float32", threads=1, max_sequences=SESSIONS)
    return replace(config, kind="model", engine=engine, name=Path(name).name)


@asynccontextmanager
async def deployment(
    *,
    drafters: Sequence[str] = DRAFTERS,
    shards: int = 1,
    engine: EngineConfig | None = None,
    shard_config: CoordinatorConfig = PATIENT,
) -> AsyncIterator[Deployment]:
    """One verifier, these drafters, and shards that know them all and each other."""
    async with AsyncExitStack() as stack:
        running = Deployment()
        target = VerifierConfig(
            engine=engine or target_engine(), listen="127.0.0.1:0", max_sessions=SESSIONS, drain_grace_s=0.0
        )
        running.verifiers.append(await stack.enter_async_context(verifier.running(target)))
        for name in drafters:
            running.drafters.append(await stack.enter_async_context(drafter.running(drafter_config(name))))
        for number in range(shards):
            config = replace(shard_config, shard=number)
            running.shards.append(await stack.enter_async_context(coordinator.running(config)))
        membership = Membership(
            drafters=tuple(member.address for member in running.drafters),
            verifiers=tuple(member.address for member in running.verifiers),
            shards=tuple(shard.address for shard in running.shards),
        )
        for shard in running.shards:
            shard.update_membership(membership)
        await wait_until_ready(running)
        yield running


async def wait_until_ready(running: Deployment) -> None:
    """Until every shard sees every member."""
    wanted = len(running.drafters) + len(running.verifiers)
    for shard in running.shards:
        pools = shard.shard.pools
        while len(pools.drafters.ready) + len(pools.verifiers.ready) < wanted:
            await any_change(pools.drafters.changed, pools.verifiers.changed)


async def until_released(running: Deployment) -> None:
    """Until everybody reports no session and all KV blocks free."""
    pools = running.shards[0].shard.pools

    def is_in_use() -> bool:
        loads = [member.load for member in pools.verifiers.members]
        loads += [member.load for member in pools.drafters.members]
        return any(load.active_sessions or load.kv_blocks_free < load.kv_blocks_total for load in loads)

    async with asyncio.timeout(10):
        while is_in_use():
            await any_change(pools.drafters.changed, pools.verifiers.changed)


async def generate_all(
    address: str, prompts: Sequence[str], options: GenerateOptions, *, concurrency: int = 16
) -> list[Generation]:
    """One generation a prompt, in their order, so many at a time."""
    return await generate_each(address, [(prompt, options) for prompt in prompts], concurrency=concurrency)


async def generate_each(
    address: str, requests: Sequence[tuple[str, GenerateOptions]], *, concurrency: int = 16
) -> list[Generation]:
    """One generation for each prompt with its options, in their order, so many at a time."""
    gate = asyncio.Semaphore(concurrency)

    async def one(client: AsyncClient, prompt: str, options: GenerateOptions) -> Generation:
        async with gate:
            return await client.generate(prompt, options)

    async with AsyncClient(address) as client:
        return await asyncio.gather(*(one(client, prompt, options) for prompt, options in requests))
