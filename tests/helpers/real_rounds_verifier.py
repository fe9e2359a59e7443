"""A verifier in virtual time whose sessions, rounds, judge and engine are the real ones; only the model is made up.

The engine runs in the test's event loop in place of a thread. A step takes virtual time, and what is asked meanwhile
waits for its end, so rounds meet committed tokens that their sender had not heard of.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import torch
from opentelemetry.metrics import NoOpMeter
from torch import Tensor

from draftmesh.core.endpoint import LoadReport, TokenizerFile, VerifierInfo
from draftmesh.core.errors import DraftmeshError, UnavailableError
from draftmesh.core.protocols import TokenTable
from draftmesh.core.verify import PsiQuery, PsiReply, Verdict, VerifyOpen, VerifyRound
from draftmesh.decoding.judge import Judge
from draftmesh.decoding.sampler import Sampler
from draftmesh.engine.block_pool import BlockPool
from draftmesh.engine.engine import Engine
from draftmesh.engine.engine_thread import EngineThread
from draftmesh.engine.limits import EngineLimits
from draftmesh.engine.paging import Paging
from draftmesh.telemetry.metrics import VerifierMetrics
from draftmesh.transport.codec_common import Draining
from draftmesh.transport.load_board import LoadBoard
from draftmesh.verifier.admission import METHODS
from draftmesh.verifier.gathering import Gathering
from draftmesh.verifier.rounds import RoundLimits
from draftmesh.verifier.sessions import OpenSession, Sessions, Target
from tests.helpers.clocks import FakeClock
from tests.helpers.fake_runner import CountingRunner
from tests.helpers.peers.wire import Faults

BLOCK_SIZE = 4
KV_BLOCKS = 64
CONTEXT_TOKENS = BLOCK_SIZE * KV_BLOCKS
MAX_SESSIONS = 8


@dataclass(frozen=True)
class NoisyTarget:
    """A model whose logits are noise, drawn from all the tokens before, but lean towards a path by position."""

    vocabulary_size: int
    path: tuple[int, ...]
    lean: float
    seed: int

    def logits(self, prefix: tuple[int, ...]) -> Tensor:
        """One row [vocab] of logits after ``prefix``, the same each time."""
        return _noisy_logits(self, prefix)


@functools.cache
def _noisy_logits(target: NoisyTarget, prefix: tuple[int, ...]) -> Tensor:
    digest = hashlib.blake2b(repr((target.seed, prefix)).encode(), digest_size=7).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "big"))
    row = 2.5 * torch.randn(target.vocabulary_size, generator=generator)
    row[target.path[len(prefix) % len(target.path)]] += target.lean
    return row


class NoisyRunner(CountingRunner):
    """Runs a :class:`NoisyTarget`, and notices when its KV is not kept well."""

    def __init__(self, target: NoisyTarget, references: Callable[[int], int]) -> None:
        super().__init__(target.vocabulary_size, BLOCK_SIZE, references)
        self._target = target

    def logits(self, prefixes: Sequence[tuple[int, ...]]) -> Tensor:
        """The target's logits [rows, vocab]."""
        rows = [self._target.logits(prefix) for prefix in prefixes]
        return torch.stack(rows) if rows else torch.zeros(0, self._target.vocabulary_size)


class LoopEngine(EngineThread):
    """An engine thread without the thread: it steps in the running event loop while :meth:`work` runs."""

    def __init__(self, target: NoisyTarget, table: TokenTable, *, step_ms: float, random: Random) -> None:
        super().__init__(lambda: self._loop_engine)
        pool = BlockPool(KV_BLOCKS, BLOCK_SIZE)
        limits = EngineLimits(
            context_tokens=CONTEXT_TOKENS,
            pool_tokens=CONTEXT_TOKENS,
            vocabulary_size=target.vocabulary_size,
            token_budget_tokens=64,
            max_sequences=MAX_SESSIONS,
        )
        judge = Judge(Sampler(table, "cpu", target.vocabulary_size))
        runner = NoisyRunner(target, pool.references)
        self._loop_engine = Engine(runner, judge, Paging(pool), limits, clock=self._engine_time)
        self._step_ms = step_ms
        self._random = random
        self._posted: list[Callable[[Engine], None]] = []
        self._news = asyncio.Event()
        self._step_began_s: float | None = None

    @property
    def engine(self) -> Engine:
        """The engine."""
        return self._loop_engine

    def post(self, fn: Callable[[Engine], None]) -> None:
        """Run ``fn`` between two steps."""
        self._posted.append(fn)
        self._news.set()

    async def work(self) -> None:
        """Step for ever; an error in a step or in a posted call ends it."""
        while True:
            await self._news.wait()
            self._news.clear()
            self.run_posted()
            self._step_began_s = asyncio.get_running_loop().time()
            await asyncio.sleep(self._step_ms * (0.5 + self._random.random()) / 1e3)
            if self._loop_engine.step() is not None:
                self._news.set()

    def run_posted(self) -> None:
        """Run what has been posted."""
        posted, self._posted = self._posted, []
        for fn in posted:
            fn(self._loop_engine)

    def _engine_time(self) -> float:
        # The engine reads its clock at both ends of a step, but for it no virtual time passes in between.
        began_s, self._step_began_s = self._step_began_s, None
        return asyncio.get_running_loop().time() if began_s is None else began_s


class RealRoundsVerifier:
    """A :class:`draftmesh.core.protocols.Verifier` over the real ``Sessions`` and ``Rounds``.

    Opens sessions inside :meth:`serving` alone. ``answers`` has each verdict that was heard, with its round.
    """

    def __init__(
        self,
        target: NoisyTarget,
        table: TokenTable,
        *,
        step_ms: float = 60.0,
        flush_interval_ms: float = 50.0,
        faults: Faults | None = None,
        seed: int = 0,
    ) -> None:
        self.faults = faults or Faults()
        self.random = Random(seed)
        self.num_opened = 0
        self.answers: list[tuple[VerifyRound, Verdict]] = []
        self._engine = LoopEngine(target, table, step_ms=step_ms, random=self.random)
        self._board = LoadBoard("verifier", LoadReport, max_sessions=MAX_SESSIONS, retry_after_ms=100)
        info = VerifierInfo(
            model="noisy-target",
            target_digest=b"target",
            vocabulary_digest=b"vocabulary",
            tokenizer_digest=b"tokenizer",
            methods=METHODS,
            max_context_tokens=CONTEXT_TOKENS,
            max_draft_tokens=16,
            max_sessions=MAX_SESSIONS,
        )
        limits = RoundLimits(max_waiting_rounds=16, kept_rounds=8, flush_interval_ms=flush_interval_ms)
        target_of_sessions = Target(info, table, target.vocabulary_size, self._engine, limits, Gathering())
        self._sessions = Sessions(
            target_of_sessions, self._board, VerifierMetrics.create(NoOpMeter("test")), FakeClock()
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Let the engine work; whatever breaks it breaks the body too."""
        try:
            async with asyncio.TaskGroup() as tasks:
                work = tasks.create_task(self._engine.work())
                yield
                work.cancel()
        finally:
            self._engine.run_posted()

    @property
    def held(self) -> tuple[int, int, int]:
        """What sessions hold: places, sequences, KV blocks."""
        engine = self._engine.engine
        engine.check_integrity()
        stats = engine.stats
        return self._board.active_sessions, stats.sequences, stats.total_blocks - stats.free_blocks

    @property
    def draining(self) -> bool:
        """Whether it has been told to stop."""
        return self._board.report().draining

    def drain(self) -> None:
        """Take no new sessions, and announce the end to the open ones."""
        self._sessions.drain(grace_ms=10_000)

    @asynccontextmanager
    async def open(self, request: VerifyOpen) -> AsyncIterator[RealRoundsStream]:
        """Part of ``Verifier``."""
        number = self.num_opened
        self.num_opened += 1
        await asyncio.sleep(0)
        error = self.faults.open_error(number)
        if error is not None:
            raise error
        async with self._sessions.open(request) as session:
            yield RealRoundsStream(self, session, request, self.faults.lifetime(number))

    async def info(self) -> VerifierInfo:
        """Part of ``Verifier``."""
        return self._sessions.info

    async def tokenizer_files(self) -> tuple[TokenizerFile, ...]:
        """Part of ``Verifier``."""
        return ()

    async def watch(self) -> AsyncIterator[LoadReport]:
        """Part of ``Verifier``."""
        async for report in self._board.watch(interval_s=1.0):
            yield report


class RealRoundsStream:
    """One session's stream, as its coordinator holds it."""

    def __init__(
        self, verifier: RealRoundsVerifier, session: OpenSession, request: VerifyOpen, lifetime: int | None
    ) -> None:
        self._verifier = verifier
        self._session = session
        self._fence = request.fence
        self._lifetime = lifetime
        self._dead = False
        self._rounds: dict[int, VerifyRound] = {}
        self._again: Verdict | None = None

    async def send(self, message: VerifyRound | PsiReply) -> None:
        """Send in order."""
        if self._dead:
            raise UnavailableError("the stream has died")
        if isinstance(message, VerifyRound):
            self._rounds[message.round] = message
        try:
            self._session.receive(message, self._fence, "")
        except DraftmeshError as error:
            self._session.end(error)

    async def receive(self) -> Verdict | PsiQuery:
        """The next message; the one that the stream dies of is lost."""
        if self._again is not None:
            verdict, self._again = self._again, None
            return verdict
        message = None if self._dead else await self._next_message()
        if message is None:
            raise UnavailableError("the stream has died" if self._dead else "the stream has ended")
        if isinstance(message, Verdict):
            self._verifier.answers.append((self._rounds[message.round], message))
            self._again = message if self._verifier.random.random() < self._verifier.faults.repeat_rate else None
        return message

    async def _next_message(self) -> Verdict | PsiQuery | None:
        message = await self._session.get()
        while isinstance(message, Draining):
            message = await self._session.get()
        if self._lifetime is not None:
            self._lifetime -= 1
            self._dead = self._lifetime < 0
        return None if self._dead else message
