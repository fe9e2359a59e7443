"""The servers that a load is put on: a draftmesh shard, with drafting or without, and transformers' own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace

from draftmesh.bench.child import Child, child_process
from draftmesh.bench.serve.continuous_batching import PeerConfig, PeerLoad, PeerReady, serve_peer
from draftmesh.bench.serve.load import Done, LoadRun, closed_loop, open_loop
from draftmesh.bench.serve.requests import Request
from draftmesh.bench.token_times import observe
from draftmesh.client import AsyncClient, GenerateOptions
from draftmesh.core.errors import UnavailableError
from draftmesh.engine.wait_policy import users_own

_SAMPLE_INTERVAL_S = 0.25
_START_TIMEOUT_S = 600.0


class DraftmeshServer:
    """A shard and one way of decoding; keeps what its verifier said of its batches.

    Args:
        client: Of the shard.
        options: Of every generation, but for its length and seed.
    """

    def __init__(self, client: AsyncClient, options: GenerateOptions) -> None:
        self._client = client
        self._options = options
        self.batch_sequences: list[float] = []
        """Mean sequences in a step of the target (its moving average), sampled while a load was on."""

    async def warm_up(self, prompts: Sequence[str]) -> None:
        """Serve what does not count: a whole generation, and a token from each prompt, which is cached then."""
        await self._serve(Request(prompts[0], 32, 0), None)
        for prompt in prompts:
            await self._serve(Request(prompt, 1, 0), None)

    async def closed(self, requests: Sequence[Request], concurrency: int, timeout_s: float) -> LoadRun:
        """So many clients at a time."""
        async with self._sampled():
            return await closed_loop(self._serve, requests, concurrency=concurrency, timeout_s=timeout_s)

    async def open(self, requests: Sequence[Request], arrivals_s: Sequence[float], timeout_s: float) -> LoadRun:
        """Requests by a timetable."""
        async with self._sampled():
            return await open_loop(self._serve, requests, arrivals_s, timeout_s=timeout_s)

    async def _serve(self, request: Request, due_s: float | None) -> Done:
        options = replace(self._options, max_tokens=request.max_tokens, seed=request.seed)
        observed = await observe(self._client, request.prompt, options, due_s=due_s)
        return Done(observed.times, observed.generation.ledger)

    @asynccontextmanager
    async def _sampled(self) -> AsyncIterator[None]:
        sampling = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            sampling.cancel()
            with suppress(asyncio.CancelledError):
                await sampling

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_INTERVAL_S)
            loads = [member.load for member in await self._client.pools() if member.kind == "verifier"]
            self.batch_sequences += [load.batch_sequences for load in loads]


@dataclass(frozen=True, slots=True)
class TransformersServer:
    """Continuous batching by transformers, in its process."""

    child: Child

    async def closed(self, requests: Sequence[Request], concurrency: int, timeout_s: float) -> LoadRun:
        """So many requests in flight.

        Raises:
            UnavailableError: the process has failed, or not finished in time.
        """
        self.child.pipe.send(PeerLoad(tuple(requests), concurrency))
        answer = await self.child.receive(timeout_s)
        if not isinstance(answer, LoadRun):
            raise UnavailableError(f"transformers' continuous batching has failed: {_failure(answer)}")
        return answer


@asynccontextmanager
async def transformers_server(config: PeerConfig) -> AsyncIterator[TransformersServer]:
    """Run it.

    Raises:
        UnavailableError: it does not run here; says why.
    """
    async with AsyncExitStack() as stack:
        with users_own():  # threads that wait for each other as they do for a user of transformers
            child = await stack.enter_async_context(child_process("transformers", serve_peer, config))
        if failure := _failure(await child.receive(_START_TIMEOUT_S)):
            raise UnavailableError(failure)
        yield TransformersServer(child)


def _failure(answer: object) -> str:
    return answer.failure if isinstance(answer, PeerReady) else f"it answered {answer!r}"
