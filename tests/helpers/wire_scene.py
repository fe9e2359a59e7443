"""A deployment on loopback with tiny models whose law can be said exactly, and drafters behind a bad network.

Everything is the product's: gRPC servers, engines and engine threads, sessions, coordinator and client. The models are
random and say only some tokens, so that few sequences are likely and two vocabularies often agree.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache

import torch
from transformers import LlamaConfig, PreTrainedModel

from draftmesh.client import AsyncClient, GenerateOptions, Generation
from draftmesh.coordinator import app as coordinator
from draftmesh.coordinator.app import Connections
from draftmesh.coordinator.backoff import BackoffConfig
from draftmesh.coordinator.drafting.stage import FeedConfig
from draftmesh.coordinator.loop.draft_length import DraftLengthConfig
from draftmesh.coordinator.loop.failover import FailoverConfig
from draftmesh.coordinator.loop.pace import PaceConfig
from draftmesh.coordinator.loop.rest import RestConfig
from draftmesh.core.sampling import Method, SamplingParams
from draftmesh.drafter import app as drafter
from draftmesh.drafter.config import DrafterConfig
from draftmesh.drafter.model_backend import ModelBackend
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.loading import LoadedModel
from draftmesh.telemetry.metrics import DrafterMetrics, meter
from draftmesh.tokenization import Tokenizer
from draftmesh.verifier import app as verifier
from draftmesh.verifier.config import VerifierConfig
from tests.helpers.adopted_models import adopt_model
from tests.helpers.deployment import PATIENT, Deployment, wait_until_ready
from tests.helpers.disturbing_drafter import DisturbingDrafter
from tests.helpers.joint_law import Law, enumerated_law
from tests.helpers.tiny_models import random_model, whole_logits
from tests.helpers.tokenizers import small_tokenizer

PROMPT = "the "
SAMPLING = SamplingParams(temperature=1.0, top_k=4)
TOKENS = 3
"""Tokens of a session that are looked at; one more is generated, so that a whole draft and its bonus fit."""

MANY_SESSIONS = 32
"""At a time."""

_BACKOFF = BackoffConfig(first_ms=1.0, longest_ms=20.0)
_ENGINE = EngineConfig(model="tiny", dtype="float32", threads=1, max_sequences=4 * MANY_SESSIONS, packed_linear=False)
_NEVER = RestConfig(tolerance_steps=math.inf, first_tokens=1)
_SHARD = replace(
    PATIENT,
    trust_drafters=True,
    pool_backoff=_BACKOFF,
    generation=replace(
        PATIENT.generation,
        draft_length=DraftLengthConfig(rest=_NEVER, company=_NEVER),  # drafts of all lengths
        feed=FeedConfig(backoff=_BACKOFF),
        failover=FailoverConfig(backoff=_BACKOFF),
    ),
)
_UNDISTURBED_SHARD = replace(
    _SHARD, generation=replace(PATIENT.generation, pace=PaceConfig(min_wait_ms=30_000.0, max_wait_ms=30_000.0))
)


@dataclass(frozen=True)
class TinyModel:
    """A tokenizer, and a random model that says only some of its tokens."""

    tokenizer_name: str
    seed: int
    said: tuple[bytes, ...]
    """Texts of the tokens that it says; special tokens it says too, but for the first, BOS."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        return small_tokenizer(self.tokenizer_name)

    def model(self) -> PreTrainedModel:
        """The model; the head has rows beyond the vocabulary."""
        vocabulary = self.tokenizer.vocabulary
        config = LlamaConfig(
            vocab_size=len(vocabulary) + 3,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=2,
            head_dim=16,
            max_position_embeddings=128,
            initializer_range=0.3,
            pad_token_id=None,
            bos_token_id=None,
            eos_token_id=None,
        )
        model = random_model(config, seed=self.seed)
        silent = torch.ones(config.vocab_size, dtype=torch.bool)
        silent[self._said_ids()] = False
        with torch.no_grad():
            model.get_output_embeddings().weight[silent] = 0.0
        return model

    def loaded(self) -> LoadedModel:
        """As an engine takes it."""
        return adopt_model(self.model(), self.tokenizer, _ENGINE)

    def _said_ids(self) -> list[int]:
        vocabulary = self.tokenizer.vocabulary
        special = [token for token in range(len(vocabulary)) if vocabulary.is_special(token)]
        return [
            token
            for token in range(len(vocabulary))
            if token in special[1:] or (vocabulary.token_bytes(token) in self.said and token not in special)
        ]


TARGET = TinyModel("llama3", 1, (b"a", b"an", b" a", b"he", b"t", b"h", b" the", b"e", b"\n"))
DRAFTER = TinyModel("mistral", 2, (b"a", b"n", b"an", b" a", b" ", b"t", b"h", b"he", b"e", b" the"))
OTHER_DRAFTER = replace(DRAFTER, seed=3)
TWIN = replace(TARGET, seed=4)


@cache
def wire_law() -> Law:
    """The law of the first tokens, from the plain model."""
    model, vocabulary = TARGET.model(), TARGET.tokenizer.vocabulary
    prompt = TARGET.tokenizer.encode_prompt(PROMPT)

    def logits(sequence: tuple[int, ...]) -> list[float]:
        row: list[float] = whole_logits(model, [*prompt, *sequence])[-1, : len(vocabulary)].tolist()
        return row

    return enumerated_law(logits, vocabulary, SAMPLING, prompt, TOKENS)


@dataclass(frozen=True)
class WireScene:
    """A deployment whose drafters are disturbed."""

    address: str
    disturbances: Counter[str]

    async def generations(self, method: Method, seeds: range, *, sessions: int) -> list[Generation]:
        """A generation for each seed, so many at a time."""
        gate = asyncio.Semaphore(sessions)

        async def one(client: AsyncClient, seed: int) -> Generation:
            options = GenerateOptions(
                temperature=SAMPLING.temperature,
                top_k=SAMPLING.top_k,
                max_tokens=TOKENS + 1,
                max_draft_tokens=TOKENS,
                method=method.label,
                seed=seed,
            )
            async with gate:
                return await client.generate(PROMPT, options)

        async with AsyncClient(self.address) as client:
            return await asyncio.gather(*(one(client, seed) for seed in seeds))


def drafters_for(method: Method) -> tuple[TinyModel, ...]:
    """Drafters between which sessions move; a block of ``slrs`` is drawn again by one of the same digest alone."""
    match method:
        case Method.REJECTION:
            return (TWIN, TWIN, replace(TWIN, seed=5))
        case Method.SLRS:
            return (DRAFTER, DRAFTER, DRAFTER)
        case _:
            return (DRAFTER, DRAFTER, OTHER_DRAFTER)


@asynccontextmanager
async def wire_scene(
    models: Sequence[TinyModel], seed: int = 0, *, is_disturbed: bool = True
) -> AsyncIterator[WireScene]:
    """The target, these drafters, and a shard that reaches them over a bad network.

    Without disturbances it waits for whole drafts, however long: how much is drafted does not depend on the machine.
    """
    disturbances: Counter[str] = Counter()

    @asynccontextmanager
    async def disturbed(address: str) -> AsyncIterator[DisturbingDrafter]:
        async with DisturbingDrafter(address, disturbances, seed) as peer:
            yield peer

    async with AsyncExitStack() as stack:
        running = Deployment()
        target = VerifierConfig(engine=_ENGINE, listen="127.0.0.1:0", max_sessions=2 * MANY_SESSIONS, drain_grace_s=0.0)
        running.verifiers.append(await stack.enter_async_context(verifier.serving(target, TARGET.loaded())))
        for model in models:
            running.drafters.append(await stack.enter_async_context(_drafting(model)))
        addresses = tuple(member.address for member in running.drafters)
        shard = _SHARD if is_disturbed else _UNDISTURBED_SHARD
        config = replace(shard, drafters=addresses, verifiers=(running.verifiers[0].address,))
        connections = replace(Connections(), drafter=disturbed) if is_disturbed else Connections()
        running.shards.append(await stack.enter_async_context(coordinator.running(config, connections)))
        await wait_until_ready(running)
        yield WireScene(running.address, disturbances)


@asynccontextmanager
async def _drafting(model: TinyModel) -> AsyncIterator[drafter.Running]:
    config = DrafterConfig(
        kind="model",
        engine=_ENGINE,
        name=f"tiny-{model.seed}",
        listen="127.0.0.1:0",
        max_sessions=2 * MANY_SESSIONS,
        drain_grace_s=0.0,
    )
    metrics = DrafterMetrics.create(meter())
    backend = ModelBackend(config, _ENGINE, metrics, load=lambda _: model.loaded())
    await asyncio.to_thread(backend.start)
    try:
        async with drafter.serving(config, backend, metrics) as server:
            yield drafter.Running(server.address, backend.info, server)
    finally:
        await asyncio.to_thread(backend.close)
