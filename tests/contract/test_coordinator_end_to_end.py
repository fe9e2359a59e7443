"""The whole chain with the demo models: a coordinator, a verifier, and drafters of two other tokenizer families."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from draftmesh.client import AsyncClient, GenerateOptions, Generation
from draftmesh.coordinator.app import Running, running
from draftmesh.coordinator.loop.draft_length import DraftLengthConfig
from draftmesh.drafter.app import running as running_drafter
from draftmesh.drafter.config import DrafterConfig
from draftmesh.engine.config import EngineConfig
from draftmesh.verifier.app import Running as RunningVerifier
from draftmesh.verifier.app import running as running_verifier
from draftmesh.verifier.config import VerifierConfig
from tests.helpers.coordinator_bench import CONFIG, until_ready

ASSETS = Path(__file__).resolve().parents[2] / "services" / "draftmesh" / "demo" / "assets"
TARGET = ASSETS / "target"
DRAFTERS = ("drafter_sentencepiece", "drafter_unigram")
MAX_TOKENS = 48

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (TARGET / "model.safetensors").exists(), reason="the demo models are not there"),
]


@dataclass(frozen=True)
class Chain:
    """Real daemons and a client."""

    coordinator: Running
    verifiers: tuple[RunningVerifier, ...]
    client: AsyncClient

    async def generate(self, prompt: str, **options: object) -> Generation:
        """A short generation."""
        options = {"max_tokens": MAX_TOKENS, "seed": 7, **options}
        return await self.client.generate(prompt, GenerateOptions(**options))  # type: ignore[arg-type]


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    """Two drafters, two verifiers, one coordinator, in this process."""
    async with AsyncExitStack() as stack:
        drafters = [
            await stack.enter_async_context(
                running_drafter(DrafterConfig(engine_of(name), listen="127.0.0.1:0", drain_grace_s=0.0))
            )
            for name in DRAFTERS
        ]
        verifiers = [
            await stack.enter_async_context(
                running_verifier(VerifierConfig(engine_of("target"), listen="127.0.0.1:0", drain_grace_s=0.0))
            )
            for _ in range(2)
        ]
        config = replace(
            CONFIG,
            drafters=tuple(drafter.address for drafter in drafters),
            verifiers=tuple(verifier.address for verifier in verifiers),
            drain_grace_s=0.0,
            generation=replace(CONFIG.generation, draft_length=DraftLengthConfig(is_adaptive=False)),
        )
        coordinator = await stack.enter_async_context(running(config))
        client = await stack.enter_async_context(AsyncClient(coordinator.address))
        await until_ready(coordinator, 4)
        yield Chain(coordinator, tuple(verifiers), client)


def engine_of(name: str) -> EngineConfig:
    """A demo model on one thread."""
    return EngineConfig(str(ASSETS / name), threads=1, kv_cache_tokens=4096)


def prompts(count: int) -> list[str]:
    """Prompts that the demo models were not trained on."""
    texts: list[str] = json.loads((ASSETS / "prompts.json").read_text())
    return texts[:count]


@pytest.mark.parametrize("temperature", [0.0, 0.7])
async def test_drafting_does_not_change_the_text(chain: Chain, temperature: float) -> None:
    """`exact` with either drafter says what the target says alone, token for token, and accepts drafts."""
    accepted = 0
    for prompt in prompts(3):
        alone = await chain.generate(prompt, method="off", temperature=temperature)
        for name in DRAFTERS:
            drafted = await chain.generate(prompt, method="exact", temperature=temperature, drafter=name)
            assert drafted.token_ids == alone.token_ids
            assert drafted.data == alone.data
            accepted += drafted.ledger.accepted_tokens
    assert accepted > 0


async def test_concurrent_sessions_do_not_mix(chain: Chain) -> None:
    """Sessions that share engines and batches say what each says alone."""
    texts = prompts(4)
    alone = [await chain.generate(prompt, method="off") for prompt in texts]
    together = await asyncio.gather(*(chain.generate(prompt, method="exact") for prompt in texts))
    assert [result.token_ids for result in together] == [result.token_ids for result in alone]


async def test_a_verifier_that_stops_is_replaced(chain: Chain) -> None:
    """A verifier is taken down in mid-session: the session goes on with the other one, and its text is the same."""
    prompt = next(text for text in prompts(8) if len(text) > 100)
    alone = await chain.generate(prompt, method="off", max_tokens=128, ignore_eos=True)
    options = GenerateOptions(max_tokens=128, seed=7, method="exact", ignore_eos=True)
    async with chain.client.stream(prompt, options) as stream:
        chunks = aiter(stream)
        first = await anext(chunks)
        busy = next(verifier for verifier in chain.verifiers if verifier.load.active_sessions)
        await busy.drain(0.0)
        rest = b"".join([chunk.data async for chunk in chunks])
    assert first.data + rest == alone.data
