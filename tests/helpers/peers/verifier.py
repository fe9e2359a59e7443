"""A verifier that lives in the test's event loop and obeys its clock.

Its target is a fixed sequence of tokens, so a test knows what must come out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

from draftmesh.core.endpoint import LoadReport, TokenizerFile, VerifierInfo
from draftmesh.core.errors import UnavailableError
from draftmesh.core.evidence import PsiEvidence
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import Method
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import PsiQuery, PsiReply, RoundStatus, RoundTimings, Verdict, VerifyOpen, VerifyRound
from draftmesh.decoding.stopping import StopTracker
from tests.helpers.peers.wire import Faults, Reports, Wire, working


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
        fits = known and (
            not said or (len(said) < len(request.draft_ids) and list(request.draft_ids[: len(said)]) == said)
        )
        if not fits or self._stop.finish_reason is not None:
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
        runs_on = request.free_run > 0 and settled.finish_reason is None
        self._run = (request.round, request.free_run) if runs_on else None
        self._say(
            Verdict(
                request.round,
                RoundStatus.DONE,
                self._prefix,
                accepted,
                settled.tokens,
                settled.finish_reason,
                settled.text_length,
                final=not runs_on,
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
