"""Drafters of text that live in the test's event loop and obey its clock: one that knows the truth, and liars."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from random import Random

from draftmesh.core.draft import Block, Commit, DraftOpen, Evaluate
from draftmesh.core.endpoint import DrafterInfo, LoadReport
from draftmesh.core.errors import MalformedBlockError, UnavailableError
from draftmesh.core.protocols import WholeVocabulary
from draftmesh.core.sampling import Method
from draftmesh.core.text import Item, Role, TextPrefix, items_length
from tests.helpers.peers.wire import Faults, Reports, Wire, working

_BRANCH_TOKENS = 4


class FakeDraftStream:
    """One session at a :class:`FakeDrafter`."""

    def __init__(self, drafter: FakeDrafter, request: DraftOpen, wire: Wire) -> None:
        self.drafter_digest = drafter.digest
        self.pauses_when_unsure = False
        self._drafter = drafter
        self._wire = wire
        self.request = request
        self._max_ahead = request.max_ahead_tokens
        self._ahead = request.first_extent.ahead_tokens or self._max_ahead
        self._committed: list[Item] = list(request.committed)
        self._draft: list[Item] = []
        self._commit_seq = 0
        self._news = asyncio.Event()
        self.commits: list[Commit] = []

    async def send(self, message: Commit | Evaluate) -> None:
        """Take a commit."""
        if self._wire.dead:
            raise UnavailableError("the stream has died")
        assert isinstance(message, Commit)
        assert message.commit_seq == self._commit_seq + 1
        assert message.offset == items_length(self._committed)
        self.commits.append(message)
        self._commit_seq = message.commit_seq
        self._ahead = message.extent.ahead_tokens or self._max_ahead
        settled, draft = _flat(message.items), _flat(self._draft)
        self._committed += message.items
        agrees = len(settled) <= len(draft) and draft[: len(settled)] == settled
        self._draft = self._without_head(len(settled)) if agrees else []
        self._news.set()

    def _without_head(self, length: int) -> list[Item]:
        """The draft tokens after the first ``length`` bytes and roles; the token that they cut is shortened."""
        rest: list[Item] = []
        for item in self._draft:
            pieces = _flat([item])
            kept = pieces[length:]
            length = max(0, length - len(pieces))
            if kept and isinstance(item, bytes):
                rest.append(b"".join(piece for piece in kept if isinstance(piece, bytes)))
            else:
                rest += kept
        return rest

    async def receive(self) -> Block:
        """The next block."""
        message = await self._wire.get()
        assert isinstance(message, Block)
        return message

    async def work(self) -> None:
        """Draft for ever."""
        while True:
            self._news.clear()
            full = len(self._draft) >= self._ahead or Role.EOS in self._draft
            if full or self._drafter.silent:
                if full and not self._drafter.silent:
                    self._draw_branches()
                await self._news.wait()
                continue
            await asyncio.sleep(self._drafter.token_ms * self._drafter.random.random() * 2 / 1e3)
            self._draw()

    def _draw_branches(self) -> None:
        """Say what may follow the draft, or come in place of its newest tokens: as often right as anything else.

        Where more may be said, it comes in place of tokens of other branches.
        """
        drawn: list[list[Item]] = []
        for count in range(self._drafter.branches):
            before = [*self._committed, *self._draft[: max(0, len(self._draft) - count)]]
            if drawn and count > len(self._draft):
                stem = self._drafter.random.choice(drawn)
                before = stem[: self._drafter.random.randint(len(self._committed), len(stem))]
            items: list[Item] = []
            for _ in range(_BRANCH_TOKENS):
                items.append(self._drafter.propose(items_length([*before, *items])))
            drawn.append([*before, *items])
            pauses = self._drafter.random.random() < 0.5
            block = Block(self._commit_seq, TextPrefix().extend(before), tuple(items), pauses, is_branch=True)
            for message in self._drafter.distort(block):
                self._wire.put(message)

    def _draw(self) -> None:
        before = [*self._committed, *self._draft]
        item = self._drafter.propose(items_length(before))
        self._draft.append(item)
        ended = len(self._draft) >= self._ahead or item == Role.EOS
        block = Block(self._commit_seq, TextPrefix().extend(before), (item,), paused=ended)
        for message in self._drafter.distort(block):
            self._wire.put(message)


class FakeDrafter:
    """A drafter that knows what the target will say, and says it with a given accuracy."""

    def __init__(
        self,
        truth: bytes,
        *,
        accuracy: float = 1.0,
        token_ms: float = 3.0,
        faults: Faults | None = None,
        seed: int = 0,
        silent: bool = False,
        branches: int = 0,
        name: str = "fake-drafter",
    ) -> None:
        self.truth = truth
        self.accuracy = accuracy
        self.token_ms = token_ms
        self.faults = faults or Faults()
        self._seed = seed
        self.random = Random(seed)
        self.silent = silent
        self.branches = branches
        self.opened: list[DraftOpen] = []
        self.streams: list[FakeDraftStream] = []
        self.num_open = 0
        self.reports = Reports(LoadReport(max_sessions=8))
        self.registered: list[bytes] = []
        self.digest = b"drafter"
        self.vocabulary_digest = b"drafter vocabulary"
        self.methods: tuple[Method, ...] = (Method.EXACT,)
        self._name = name

    def __repr__(self) -> str:
        silent = ", silent" if self.silent else ""
        rates = f"accuracy={self.accuracy}, token_ms={self.token_ms}, branches={self.branches}"
        return f"{type(self).__name__}({rates}, {self.faults}, seed={self._seed}{silent})"

    def propose(self, offset: int) -> Item:
        """One draft token at a byte offset."""
        if offset >= len(self.truth):
            return Role.EOS
        length = self.random.randint(1, 4)
        if self.random.random() < self.accuracy:
            return self.truth[offset : offset + length]
        return self.random.randbytes(length)

    def distort(self, block: Block) -> Iterator[object]:
        """What goes out in place of a block; subclasses lie here."""
        yield block

    @asynccontextmanager
    async def open(self, request: DraftOpen) -> AsyncIterator[FakeDraftStream]:
        """Part of ``Drafter``."""
        number = len(self.opened)
        self.opened.append(request)
        await asyncio.sleep(self.token_ms / 1e3)
        error = self.faults.open_error(number)
        if error is not None:
            raise error
        stream = FakeDraftStream(self, request, Wire(self.faults.lifetime(number)))
        self.streams.append(stream)
        async with working(stream.work(), self):
            yield stream

    async def info(self) -> DrafterInfo:
        """Part of ``Drafter``."""
        return DrafterInfo(
            name=self._name,
            digest=self.digest,
            vocabulary_digest=self.vocabulary_digest,
            methods=self.methods,
            max_context_tokens=4096,
            max_ahead_tokens=32,
            max_sessions=8,
        )

    async def register_vocabulary(self, digest: bytes, vocabulary: WholeVocabulary) -> int:
        """Part of ``Drafter``."""
        self.registered.append(digest)
        return len(vocabulary)

    async def watch(self) -> AsyncIterator[LoadReport]:
        """Part of ``Drafter``."""
        async for report in self.reports.follow():
            yield report


class LyingDrafter(FakeDrafter):
    """Names prefixes that it does not follow, repeats itself, and pretends that it has paused."""

    def distort(self, block: Block) -> Iterator[object]:
        """Part of :class:`FakeDrafter`."""
        lie = self.random.randrange(5)
        prefix = block.start
        if lie == 0:
            yield Block(block.commit_seq, TextPrefix(prefix.length, prefix.hash ^ 1), block.items)
        elif lie == 1:
            yield Block(block.commit_seq, TextPrefix(prefix.length + 7, prefix.hash), block.items)
        elif lie == 2:
            yield Block(block.commit_seq, prefix, (self.random.randbytes(3),), paused=True)
        elif lie == 3:
            yield Block(block.commit_seq, prefix, (Role.PAD, *block.items, Role.EOS))
        else:
            yield block
            yield block


class FloodingDrafter(FakeDrafter):
    """Ignores every limit."""

    def distort(self, block: Block) -> Iterator[object]:
        """Part of :class:`FakeDrafter`."""
        start = block.start
        for _ in range(200):
            items = (self.random.randbytes(20),)
            yield Block(block.commit_seq, start, items)
            start = start.extend(items)


class MalformedDrafter(FakeDrafter):
    """Sends what the codec refuses, or claims a commit that nobody made."""

    def distort(self, block: Block) -> Iterator[object]:
        """Part of :class:`FakeDrafter`."""
        if self.random.random() < 0.5:
            yield MalformedBlockError("token byte lengths do not add up")
        else:
            yield Block(block.commit_seq + 1000, block.start, block.items)


def _flat(items: Sequence[Item]) -> list[Item]:
    """One element a byte or role."""
    return [piece for item in items for piece in (_bytes_of(item) if isinstance(item, bytes) else (item,))]


def _bytes_of(data: bytes) -> tuple[bytes, ...]:
    return tuple(data[i : i + 1] for i in range(len(data)))
