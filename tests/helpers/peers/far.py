"""Peers behind a network: what is sent to them, and what they say, is under way for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

from draftmesh.core.draft import Block, Commit, DraftOpen, Evaluate, Evaluated
from draftmesh.core.endpoint import DrafterInfo, LoadReport, TokenizerFile, VerifierInfo
from draftmesh.core.errors import DraftmeshError
from draftmesh.core.protocols import Drafter, DraftStream, Verifier, VerifyStream, WholeVocabulary
from draftmesh.core.verify import PsiQuery, PsiReply, Verdict, VerifyOpen, VerifyRound

T = TypeVar("T")
OutT = TypeVar("OutT")
InT = TypeVar("InT")
VerifierT = TypeVar("VerifierT", bound=Verifier)
SentT_contra = TypeVar("SentT_contra", contravariant=True)
HeardT_co = TypeVar("HeardT_co", covariant=True)


class _Lane(Generic[T]):
    """One direction: messages come out in order, each so long after it went in; an error ends it."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._messages: asyncio.Queue[tuple[float, T | DraftmeshError]] = asyncio.Queue()

    async def put(self, message: T | DraftmeshError) -> None:
        """A message, or an error, goes in."""
        self._messages.put_nowait((asyncio.get_running_loop().time() + self._delay_s, message))

    async def get(self) -> T:
        """The next one; raises an error, from then on always."""
        due_s, message = await self._messages.get()
        await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))
        if isinstance(message, DraftmeshError):
            await self.put(message)
            raise message
        return message


class _Stream(Protocol[SentT_contra, HeardT_co]):
    async def send(self, message: SentT_contra, /) -> None: ...

    async def receive(self) -> HeardT_co: ...


class _FarStream(Generic[OutT, InT]):
    """A stream to a peer that is ``rtt_ms`` away, there and back."""

    def __init__(self, near: _Stream[OutT, InT], rtt_ms: float) -> None:
        self._near = near
        self._there: _Lane[OutT] = _Lane(rtt_ms / 2e3)
        self._back: _Lane[InT] = _Lane(rtt_ms / 2e3)

    async def send(self, message: OutT) -> None:
        """Send in order."""
        await self._there.put(message)

    async def receive(self) -> InT:
        """The next message."""
        return await self._back.get()

    @asynccontextmanager
    async def carrying(self) -> AsyncIterator[None]:
        """Carry in both directions."""
        lanes = (self._carry(self._there.get, self._near.send), self._carry(self._near.receive, self._back.put))
        tasks = [asyncio.create_task(lane) for lane in lanes]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _carry(self, get: Callable[[], Awaitable[T]], put: Callable[[T], Awaitable[None]]) -> None:
        try:
            while True:
                await put(await get())
        except DraftmeshError as error:
            await self._back.put(error)


class _FarDraftStream(_FarStream[Commit | Evaluate, Block | Evaluated]):
    def __init__(self, near: DraftStream, rtt_ms: float) -> None:
        super().__init__(near, rtt_ms)
        self.drafter_digest = near.drafter_digest
        self.pauses_when_unsure = near.pauses_when_unsure


class FarDrafter:
    """A drafter behind a network; only its streams are delayed."""

    def __init__(self, near: Drafter, rtt_ms: float) -> None:
        self._near = near
        self._rtt_ms = rtt_ms

    @asynccontextmanager
    async def open(self, request: DraftOpen) -> AsyncIterator[DraftStream]:
        """Part of ``Drafter``."""
        await asyncio.sleep(self._rtt_ms / 1e3)
        async with self._near.open(request) as near:
            stream = _FarDraftStream(near, self._rtt_ms)
            async with stream.carrying():
                yield stream

    async def info(self) -> DrafterInfo:
        """Part of ``Drafter``."""
        return await self._near.info()

    def watch(self) -> AsyncIterator[LoadReport]:
        """Part of ``Drafter``."""
        return self._near.watch()

    async def register_vocabulary(self, digest: bytes, vocabulary: WholeVocabulary) -> int:
        """Part of ``Drafter``."""
        return await self._near.register_vocabulary(digest, vocabulary)


class FarVerifier(Generic[VerifierT]):
    """A verifier behind a network; only its streams are delayed."""

    def __init__(self, near: VerifierT, rtt_ms: float) -> None:
        self.near = near
        self._rtt_ms = rtt_ms

    @asynccontextmanager
    async def open(self, request: VerifyOpen) -> AsyncIterator[VerifyStream]:
        """Part of ``Verifier``."""
        await asyncio.sleep(self._rtt_ms / 1e3)
        async with self.near.open(request) as near:
            stream: _FarStream[VerifyRound | PsiReply, Verdict | PsiQuery] = _FarStream(near, self._rtt_ms)
            async with stream.carrying():
                yield stream

    async def info(self) -> VerifierInfo:
        """Part of ``Verifier``."""
        return await self.near.info()

    async def tokenizer_files(self) -> tuple[TokenizerFile, ...]:
        """Part of ``Verifier``."""
        return await self.near.tokenizer_files()

    def watch(self) -> AsyncIterator[LoadReport]:
        """Part of ``Verifier``."""
        return self.near.watch()
