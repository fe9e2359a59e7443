"""A coordinator shard behind real gRPC on loopback, with fake drafters and verifiers at made-up addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from draftmesh.client import AsyncClient, GenerateOptions, Generation
from draftmesh.coordinator.app import Connections, Running, running
from draftmesh.coordinator.backoff import BackoffConfig
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.loop.config import GenerationConfig
from draftmesh.coordinator.loop.failover import FailoverConfig
from draftmesh.coordinator.pools.pool import Connect, Pool
from draftmesh.coordinator.tasks import any_change
from tests.helpers.generation_bench import PROSE, text_of, tiny_tokenizer, tiny_tokenizer_files
from tests.helpers.peers.id_drafters import FakeIdDrafter
from tests.helpers.peers.text_drafters import FakeDrafter
from tests.helpers.peers.verifier import FakeVerifier

FAST = BackoffConfig(first_ms=1.0, longest_ms=20.0)
CONFIG = CoordinatorConfig(
    listen="127.0.0.1:0",
    drain_grace_s=5.0,
    pool_backoff=FAST,
    generation=GenerationConfig(failover=FailoverConfig(patience_ms=2000.0, backoff=FAST)),
)
PATH = tuple(tiny_tokenizer().encode_bytes(PROSE.encode())[:120])
"""What the fake target says."""


def fake_verifier(**options: object) -> FakeVerifier:
    """A verifier of the tiny target; ``options`` are those of FakeVerifier."""
    options = {"step_ms": 1.0, "tokenizer_files": tiny_tokenizer_files(), **options}
    return FakeVerifier(PATH, tiny_tokenizer().vocabulary, **options)  # type: ignore[arg-type]


def fake_drafter(**options: object) -> FakeDrafter:
    """A drafter that knows what the target says."""
    return FakeDrafter(text_of(PATH), **{"token_ms": 0.1, **options})  # type: ignore[arg-type]


def fake_id_drafter(**options: object) -> FakeIdDrafter:
    """A drafter of the target's own tokens, which knows what the target says."""
    return FakeIdDrafter(PATH, tiny_tokenizer().vocabulary, **{"token_ms": 0.1, **options})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Scene:
    """A running shard, a client of it, and the fakes behind it."""

    shard: Running
    client: AsyncClient
    drafters: Mapping[str, FakeDrafter]
    verifiers: Mapping[str, FakeVerifier]

    async def generate(self, **options: object) -> Generation:
        """Generate from a short prompt."""
        options = {"max_tokens": 60, **options}
        return await self.client.generate("The ", GenerateOptions(**options))  # type: ignore[arg-type]

    @property
    def open_streams(self) -> int:
        """Streams that the fakes hold."""
        drafters = sum(peer.num_open for peer in self.drafters.values())
        return drafters + sum(peer.num_open for peer in self.verifiers.values())


@asynccontextmanager
async def coordinator_scene(
    *peers: FakeDrafter | FakeVerifier, config: CoordinatorConfig = CONFIG, wait: bool = True
) -> AsyncIterator[Scene]:
    """A shard with these members; ``wait``: until it sees all of them."""
    drafters = {f"drafter:{n}": peer for n, peer in enumerate(peers, 1) if isinstance(peer, FakeDrafter)}
    verifiers = {f"verifier:{n}": peer for n, peer in enumerate(peers, 1) if isinstance(peer, FakeVerifier)}
    config = replace(config, drafters=tuple(drafters), verifiers=tuple(verifiers))
    connections = Connections(_dial(drafters), _dial(verifiers))
    async with running(config, connections) as shard, AsyncClient(shard.address) as client:
        if wait:
            await until_ready(shard, len(peers))
        yield Scene(shard, client, drafters, verifiers)


async def until_ready(shard: Running, count: int) -> None:
    """Wait until the shard sees ``count`` ready members."""
    pools = shard.shard.pools
    while len(pools.drafters.ready) + len(pools.verifiers.ready) < count:
        await any_change(pools.drafters.changed, pools.verifiers.changed)


async def until_members(shard: Running, count: int) -> None:
    """Wait until the shard has ``count`` members, ready or not."""
    pools = shard.shard.pools
    while len(pools.drafters.members) + len(pools.verifiers.members) != count:
        await any_change(pools.drafters.changed, pools.verifiers.changed)


def pool_of(**peers: FakeDrafter | FakeVerifier) -> Pool:  # type: ignore[type-arg]
    """A pool that reaches these peers by their names."""
    return Pool(_dial(peers), BackoffConfig(first_ms=10.0, longest_ms=10.0), Random(0))


def _dial(peers: Mapping[str, Any]) -> Connect[Any]:
    @asynccontextmanager
    async def connect(address: str) -> AsyncIterator[Any]:
        yield peers[address]

    return connect
