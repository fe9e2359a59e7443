"""A drafter behind a bad network: what it says is lost, repeated, late, out of order, or not heard any more at all.

What happens to a message is drawn from a seed, never from what the message says: then no disturbance chooses a text.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from types import TracebackType
from typing import Self

from draftmesh.core.draft import Block, Commit, DraftOpen, Evaluate, Evaluated
from draftmesh.core.endpoint import DrafterInfo, LoadReport
from draftmesh.core.errors import UnavailableError
from draftmesh.core.protocols import DraftStream, WholeVocabulary
from draftmesh.core.sampling import Method
from draftmesh.transport.peers import GrpcDrafter

_CHANCES = {"lost": 0.06, "repeated": 0.06, "swapped": 0.06, "stale": 0.06, "broken": 0.08}


def disturbances(method: Method) -> frozenset[str]:
    """What can happen to a block; none of ``slrs`` is followed by another before it is answered."""
    return frozenset(_CHANCES) - ({"swapped"} if method is Method.SLRS else set())


class DisturbingDrafter:
    """Passes everything on to a real drafter, and disturbs what comes back; a ``core.protocols.Drafter``."""

    def __init__(self, address: str, seen: Counter[str], seed: int = 0) -> None:
        """Connect to ``address`` when first used; ``seen`` counts the disturbances of each kind."""
        self._drafter = GrpcDrafter(address)
        self._random = Random(seed)
        self._seen = seen

    async def __aenter__(self) -> Self:
        await self._drafter.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._drafter.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def open(self, request: DraftOpen) -> AsyncIterator[DraftStream]:
        """A stream that is disturbed."""
        async with self._drafter.open(request) as stream:
            yield _DisturbedStream(stream, self._random, self._seen, request.method)

    async def register_vocabulary(self, digest: bytes, vocabulary: WholeVocabulary) -> int:
        """Undisturbed."""
        return await self._drafter.register_vocabulary(digest, vocabulary)

    async def info(self) -> DrafterInfo:
        """Undisturbed."""
        return await self._drafter.info()

    def watch(self) -> AsyncIterator[LoadReport]:
        """Undisturbed."""
        return self._drafter.watch()


class _DisturbedStream:
    """One session's stream."""

    def __init__(self, stream: DraftStream, random: Random, seen: Counter[str], method: Method) -> None:
        self._stream = stream
        self._random = random
        self._seen = seen
        self._waits_for_all = method is Method.SLRS
        self._ready: deque[Block | Evaluated] = deque()
        self._said: list[Block] = []

    @property
    def drafter_digest(self) -> bytes:
        """The drafter's own."""
        return self._stream.drafter_digest

    @property
    def pauses_when_unsure(self) -> bool:
        """As the drafter does."""
        return self._stream.pauses_when_unsure

    async def send(self, message: Commit | Evaluate) -> None:
        """Undisturbed: the drafter hears everything that it is told, or its stream is broken."""
        await self._stream.send(message)

    async def receive(self) -> Block | Evaluated:
        """The next message that gets through."""
        while not self._ready:
            message = await self._stream.receive()
            if isinstance(message, Block):
                await self._disturb(message)
                self._said.append(message)
            else:
                self._ready.append(message)
        return self._ready.popleft()

    async def _disturb(self, block: Block) -> None:
        kind = self._random.choices([*_CHANCES, ""], [*_CHANCES.values(), 1.0 - sum(_CHANCES.values())])[0]
        match kind:
            case "lost" if self._waits_for_all:  # nothing but the end of the stream would make up for it
                self._seen[kind] += 1
                raise UnavailableError("the network lost a block")
            case "lost":
                pass
            case "repeated":
                self._ready += (block, block)
            case "swapped" if not self._waits_for_all:  # else none follows before this one is answered
                self._ready += (await self._stream.receive(), block)
            case "stale" if self._said:
                self._ready += (self._random.choice(self._said), block)
            case "broken":
                self._seen[kind] += 1
                raise UnavailableError("the network broke")
            case _:
                self._ready.append(block)
                return
        self._seen[kind] += 1
