"""Fakes of ``core.protocols``: a drafter and a verifier that live in the test's event loop and obey its clock.

The verifier's target is a fixed sequence of tokens, so a test knows what must come out. Both count their open streams.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, TypeVar

from draftmesh.core.draft import Block, Commit, DraftOpen, Evaluate
from draftmesh.core.endpoint import DrafterInfo, LoadReport, TokenizerFile, VerifierInfo
from draftmesh.core.errors import DraftmeshError, MalformedBlockError, UnavailableError
from draftmesh.core.evidence import PsiEvidence
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Drafter, TokenTable, Verifier, WholeVocabulary
from draftmesh.core.sampling import Method
from draftmesh.core.text import Item, Role, TextPrefix, TokenPrefix, items_length
from draftmesh.core.verify import PsiQuery, PsiReply, RoundStatus, RoundTimings, Verdict, VerifyOpen, VerifyRound
from draftmesh.decoding.stopping import StopTracker


class FakeClock:
    """The running event loop's time: virtual under ``run_virtual``."""

    def monotonic(self) -> float:
        """Seconds."""
        return asyncio.get_running_loop().time()


@dataclass
class Faults:
    """What goes wrong, by the number of the stream (from 0); streams beyond the list are sound."""

    open_errors: Sequence[DraftmeshError | None] = ()
    """Raised instead of opening."""

    lifetimes: Sequence[int | None] = ()
    """Messages that a stream sends before it dies; None: it lives on."""

    repeat_rate: float = 0.0
    """How often a message is sent twice."""

    def open_error(self, stream: int) -> DraftmeshError | None:
        """What to raise when this stream is opened."""
        return self.open_errors[stream] if stream < len(self.open_errors) else None

    def lifetime(self, stream: int) -> int | None:
        """Messages until it dies."""
        return self.lifetimes[stream] if stream < len(self.lifetimes) else None


@dataclass
class Wire:
    """One direction of a fake stream: messages, then perhaps an error."""

    lifetime: int | None
    messages: deque[object] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    dead: bool = False

    def put(self, message: object) -> None:
        """Send, unless it has died."""
        if self.lifetime is not None:
            self.lifetime -= 1
            if self.lifetime < 0:
                self.dead = True
        if not self.dead:
            self.messages.append(message)
        self.arrived.set()

    async def get(self) -> object:
        """The next message; raises what was sent in its place."""
        while not self.messages:
            if self.dead:
                raise UnavailableError("the stream has died")
            self.arrived.clear()
            await self.arrived.wait()
        message = self.messages.popleft()
        if isinstance(message, DraftmeshError):
            raise message
        return message


class Reports:
    """What a fake's Watch streams say: a report, and every other one that a test makes it say."""

    def __init__(self, report: LoadReport) -> None:
        self._report: LoadReport | None = report
        self._changed = asyncio.Event()

    def say(self, report: LoadReport | None) -> None:
        """The next report; None breaks every stream, and refuses new ones, until there is a report again."""
        self._report = report
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self) -> AsyncIterator[LoadReport]:
        """One Watch stream."""
        while True:
            changed = self._changed
            if self._report is None:
                raise UnavailableError("the peer is gone")
            yield self._report
            await changed.wait()


class FakeVerifyStream:
    """One session at a :class:`FakeVerifier`; follows the rules of ``Round`` in the protocol."""

    def __init__(self, verifier: FakeVerifier, request: VerifyOpen, wire: Wire) -> None:
        self._verifier = verifier
        self._wire = wire
        self._committed = list(request.committed_ids)
        self._prefix = TokenPrefix().extend(self._committed)
        self._stop = StopTracker(request.stop, verifier.table)
        self._stop.settle(self._committed)
        self._rounds: deque[VerifyRound] = deque()
        self._news = asyncio.Event()
        self._unsaid: list[int] = []
        self._run: tuple[int, int] | None = None  # (round, tokens left)
        self._replies: asyncio.Queue[PsiReply] = asyncio.Queue()
        self._num_queries = 0

    async def send(self, message: VerifyRound | PsiReply) -> None:
        """Take a round, or the answer to the question that was asked last."""
        if self._wire.dead:
            raise UnavailableError("the stream has died")
        if isinstance(message, PsiReply):
            self._replies.put_nowait(message)
            return
        self._verifier.rounds.append(message)
        self._rounds.append(message)
        self._news.set()

    async def receive(self) -> Verdict | PsiQuery:
        """The next message."""
        message = await self._wire.get()
        assert isinstance(message, Verdict | PsiQuery)
        return message

    async def work(self) -> None:
        """Step for ever."""
        while True:
            self._news.clear()
            while self._rounds:
                await self._take(self._rounds.popleft())
            if self._run is None:
                await self._news.wait()
            else:
                await self._run_step(*self._run)

    async def _take(self, request: VerifyRound) -> None:
        said = self._committed[request.base.length :]
        known = TokenPrefix().extend(self._committed[: request.base.length]) == request.base
        judges = bool(request.draft_ids) or request.evidence is not None
        fits = known and (not judges or list(request.draft_ids[: len(said)]) == said)
        if not fits or len(said) > len(request.draft_ids) or self._stop.finish_reason is not None:
            self._say(Verdict(request.round, RoundStatus.STALE, self._prefix_of_all()))
            return
        if self._run is not None:
            self._flush(self._run[0], final=True)
            self._run = None
        if judges:
            await self._judge(request, request.draft_ids[len(said) :])
        else:
            self._run = (request.round, max(1, request.free_run))

    async def _judge(self, request: VerifyRound, draft: Sequence[int]) -> None:
        ms = await self._step()
        await asyncio.sleep(self._verifier.judging_ms / 1e3)
        tokens: list[int] = []
        for position in range(len(draft) + 1):
            tokens.append(self._verifier.next_token(len(self._committed) + position))
            if position == len(draft) or draft[position] != tokens[-1]:
                break
        if isinstance(request.evidence, PsiEvidence) and (len(tokens) <= len(draft) or request.evidence.missing_next):
            await self._ask_psi(tokens)
        settled = self._stop.settle(tokens)
        accepted = min(len(tokens) - 1, len(settled.tokens))
        self._committed += settled.tokens
        self._say(
            Verdict(
                request.round,
                RoundStatus.DONE,
                self._prefix,
                accepted,
                settled.tokens,
                settled.finish_reason,
                settled.text_length,
                timings=RoundTimings(0.0, ms),
            )
        )
        self._prefix = self._prefix_of_all()

    async def _ask_psi(self, tokens: Sequence[int]) -> None:
        """The lazy residual after a rejection: ψ of some tokens at the rejected position."""
        self._num_queries += 1
        prefix = self._prefix_of_all().extend(tokens[:-1])
        query = PsiQuery(self._num_queries, prefix, (tokens[-1], *self._verifier.psi_ids))
        self._wire.put(query)
        reply = await self._replies.get()
        assert reply.query_id == query.query_id
        self._verifier.psi.append((tuple(self._committed), tuple(tokens[:-1]), query.ids, reply.psi))

    async def _run_step(self, round_number: int, left: int) -> None:
        await self._step()
        settled = self._stop.settle((self._verifier.next_token(len(self._committed)),))
        self._committed += settled.tokens
        self._unsaid += settled.tokens
        over = left == 1 or settled.finish_reason is not None
        self._run = None if over else (round_number, left - 1)
        if over or self._verifier.random.random() < self._verifier.flush_rate:
            self._flush(round_number, final=over)

    def _flush(self, round_number: int, *, final: bool) -> None:
        tokens, self._unsaid = tuple(self._unsaid), []
        self._say(
            Verdict(
                round_number,
                RoundStatus.DONE,
                self._prefix,
                0,
                tokens,
                self._stop.finish_reason,
                self._stop.settle(()).text_length,
                final=final,
                timings=RoundTimings(0.0, self._verifier.step_ms * len(tokens)),
            )
        )
        self._prefix = self._prefix_of_all()

    def _prefix_of_all(self) -> TokenPrefix:
        return TokenPrefix().extend(self._committed)

    def _say(self, verdict: Verdict) -> None:
        self._wire.put(verdict)
        if self._verifier.random.random() < self._verifier.faults.repeat_rate:
            self._wire.put(verdict)

    async def _step(self) -> float:
        ms = self._verifier.step_ms * (0.5 + self._verifier.random.random())
        await asyncio.sleep(ms / 1e3)
        return ms


class FakeVerifier:
    """A verifier whose target says a fixed sequence of tokens."""

    def __init__(
        self,
        path: Sequence[int],
        table: TokenTable,
        *,
        step_ms: float = 100.0,
        judging_ms: float = 0.0,
        flush_rate: float = 1.0,
        faults: Faults | None = None,
        seed: int = 0,
        model: str = "fake-target",
        target_digest: bytes = b"target",
        tokenizer_files: tuple[TokenizerFile, ...] = (),
    ) -> None:
        self.path = tuple(path)
        self.table = table
        self.step_ms = step_ms
        self.judging_ms = judging_ms
        """How much longer a step with a draft takes."""

        self.flush_rate = flush_rate
        self.faults = faults or Faults()
        self._seed = seed
        self.random = Random(seed)
        self.opened: list[VerifyOpen] = []
        self.rounds: list[VerifyRound] = []
        self.psi_ids = (1, 2)
        """What it asks ψ of, beside the token that it will say."""

        self.psi: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[float, ...]]] = []
        """What it was told: committed tokens, accepted tokens of the block, ids, ψ of each."""

        self.methods: tuple[Method, ...] = (Method.OFF, Method.EXACT)
        self.num_open = 0
        self.max_context_tokens = 4096
        self.vocabulary_digest: bytes = getattr(table, "digest", b"vocabulary")
        self.reports = Reports(LoadReport(max_sessions=8, kv_blocks_free=8, kv_blocks_total=8))
        self._model = model
        self._target_digest = target_digest
        self._files = tokenizer_files

    def __repr__(self) -> str:
        return f"FakeVerifier(step_ms={self.step_ms}, flush_rate={self.flush_rate}, {self.faults}, seed={self._seed})"

    def next_token(self, position: int) -> int:
        """The token at this position of the generation; the sequence starts again at its end."""
        return self.path[position % len(self.path)]

    @asynccontextmanager
    async def open(self, request: VerifyOpen) -> AsyncIterator[FakeVerifyStream]:
        """Part of ``Verifier``."""
        number = len(self.opened)
        self.opened.append(request)
        await asyncio.sleep(0)
        error = self.faults.open_error(number)
        if error is not None:
            raise error
        stream = FakeVerifyStream(self, request, Wire(self.faults.lifetime(number)))
        async with working(stream.work(), self):
            yield stream

    async def info(self) -> VerifierInfo:
        """Part of ``Verifier``."""
        return VerifierInfo(
            model=self._model,
            target_digest=self._target_digest,
            vocabulary_digest=self.vocabulary_digest,
            tokenizer_digest=b"tokenizer",
            methods=self.methods,
            max_context_tokens=self.max_context_tokens,
            max_draft_tokens=16,
            max_sessions=8,
        )

    async def tokenizer_files(self) -> tuple[TokenizerFile, ...]:
        """Part of ``Verifier``."""
        return self._files

    async def watch(self) -> AsyncIterator[LoadReport]:
        """Part of ``Verifier``."""
        async for report in self.reports.follow():
            yield report


class FakeDraftStream:
    """One session at a :class:`FakeDrafter`."""

    def __init__(self, drafter: FakeDrafter, request: DraftOpen, wire: Wire) -> None:
        self.drafter_digest = drafter.digest
        self._drafter = drafter
        self._wire = wire
        self._max_ahead = request.max_ahead_tokens
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
            full = len(self._draft) >= self._max_ahead or Role.EOS in self._draft
            if full or self._drafter.silent:
                await self._news.wait()
                continue
            await asyncio.sleep(self._drafter.token_ms * self._drafter.random.random() * 2 / 1e3)
            self._draw()

    def _draw(self) -> None:
        before = [*self._committed, *self._draft]
        item = self._drafter.propose(items_length(before))
        self._draft.append(item)
        ended = len(self._draft) >= self._max_ahead or item == Role.EOS
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
        name: str = "fake-drafter",
    ) -> None:
        self.truth = truth
        self.accuracy = accuracy
        self.token_ms = token_ms
        self.faults = faults or Faults()
        self._seed = seed
        self.random = Random(seed)
        self.silent = silent
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
        rates = f"accuracy={self.accuracy}, token_ms={self.token_ms}"
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


PeerT = TypeVar("PeerT", bound=Verifier | Drafter)


@dataclass(frozen=True)
class FakeSeat(Generic[PeerT]):
    """A pool member that was picked."""

    address: str
    name: str
    peer: PeerT
    limit_tokens: int = 32
    digest: bytes = b"drafter"
    retiring: asyncio.Event = field(default_factory=asyncio.Event)
    books: list[Ledger] = field(default_factory=list)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Part of ``Seat``."""
        yield

    def record(self, delta: Ledger) -> None:
        """Part of ``Seat``."""
        self.books.append(delta)

    @property
    def is_draining(self) -> bool:
        """Part of ``Seat``."""
        return self.retiring.is_set()

    @property
    def should_move(self) -> bool:
        """Part of ``Seat``."""
        return self.retiring.is_set()

    async def retired(self) -> None:
        """Part of ``Seat``."""
        await self.retiring.wait()


class FakeSeats(Generic[PeerT]):
    """Hands out seats in turn; waits for ever when none is allowed."""

    def __init__(self, *seats: FakeSeat[PeerT]) -> None:
        self.seats: list[FakeSeat[PeerT]] = list(seats)
        self._changed = asyncio.Event()

    def add(self, seat: FakeSeat[PeerT]) -> None:
        """A member comes."""
        self.seats.append(seat)
        self._changed.set()

    async def acquire(
        self,
        *,
        banned: frozenset[str] = frozenset(),
        failed: frozenset[str] = frozenset(),
        digest: bytes | None = None,
    ) -> FakeSeat[PeerT]:
        """Part of ``SeatSource``."""
        allowed = [seat for seat in self.seats if seat.address not in banned and not seat.retiring.is_set()]
        allowed = [seat for seat in allowed if digest is None or seat.digest == digest]
        if not allowed:
            self._changed.clear()
            await self._changed.wait()
            return await self.acquire(banned=banned, failed=failed, digest=digest)
        seat = min(allowed, key=lambda seat: seat.address in failed)
        self.seats.remove(seat)
        self.seats.append(seat)
        return seat


def _flat(items: Sequence[Item]) -> list[Item]:
    """One element a byte or role."""
    return [piece for item in items for piece in (_bytes_of(item) if isinstance(item, bytes) else (item,))]


def _bytes_of(data: bytes) -> tuple[bytes, ...]:
    return tuple(data[i : i + 1] for i in range(len(data)))


@asynccontextmanager
async def working(work: Coroutine[Any, Any, None], owner: FakeVerifier | FakeDrafter) -> AsyncIterator[None]:
    """Run ``work`` while one of its owner's streams is open."""
    task = asyncio.create_task(work)
    owner.num_open += 1
    try:
        yield
    finally:
        owner.num_open -= 1
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
