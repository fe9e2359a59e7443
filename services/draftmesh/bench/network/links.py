"""A shard whose networks to the others have a length."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from draftmesh.bench.network.proxy import delaying_proxy
from draftmesh.bench.pair_specs import Members
from draftmesh.bench.processes import over, replica_process
from draftmesh.client import AsyncClient
from draftmesh.coordinator.replicas import Membership, ReplicaSpec


@dataclass(frozen=True, slots=True)
class Delays:
    """Round trips between a shard and the others, in milliseconds."""

    drafter_ms: float | None = None
    """None: there is no proxy in between. At 0 there is one, which takes the time that it takes."""

    verifier_ms: float | None = None


@asynccontextmanager
async def linked_client(shard: ReplicaSpec, members: Members, delays: Delays = Delays()) -> AsyncIterator[AsyncClient]:
    """A client of a shard in a process of its own, which reaches its members over networks with such delays.

    Raises:
        UnavailableError: the shard cannot start, or does not find the members.
    """
    async with AsyncExitStack() as stack:
        verifier = await _behind(stack, members.verifier.address, delays.verifier_ms)
        drafters = [await _behind(stack, status.address, delays.drafter_ms) for status in members.drafters]
        spec = over(shard, Membership(drafters=tuple(drafters), verifiers=(verifier,)))
        status = await stack.enter_async_context(replica_process(spec))
        yield await stack.enter_async_context(AsyncClient(status.address))


async def _behind(stack: AsyncExitStack, address: str, rtt_ms: float | None) -> str:
    return address if rtt_ms is None else await stack.enter_async_context(delaying_proxy(address, rtt_ms))
