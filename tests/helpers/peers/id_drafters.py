"""Drafters of target ids in virtual time: single tokens with their distributions, or whole blocks with their ψ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from random import Random

from draftmesh.core.draft import Block, Commit, DraftOpen, Evaluate, Evaluated
from draftmesh.core.errors import NotFoundError, UnavailableError
from draftmesh.core.evidence import Evidence, ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.core.protocols import WholeVocabulary
from draftmesh.core.sampling import Method
from draftmesh.core.text import TERMINAL_ROLES, Item, TextPrefix, items_length
from tests.helpers.peers.text_drafters import FakeDrafter
from tests.helpers.peers.wire import Faults, Wire, working

ID_METHODS = tuple(method for method in Method if method.proposes_ids)


class FakeIdStream:
    """One session at a :class:`FakeIdDrafter`."""

    def __init__(self, drafter: FakeIdDrafter, request: DraftOpen, wire: Wire) -> None:
        self.drafter_digest = drafter.digest
        self.pauses_when_unsure = False
        self._drafter = drafter
        self._wire = wire
        self._request = request
        self._text = TextPrefix().extend(request.committed)
        self._tokens = request.committed_tokens
        self._draft: list[int] = []
        self._is_whole = False
        self._commit_seq = 0
        self._news = asyncio.Event()
        self.commits: list[Commit] = []

    async def send(self, message: Commit | Evaluate) -> None:
        """Take a commit or a question."""
        if self._wire.dead:
            raise UnavailableError("the stream has died")
        if isinstance(message, Evaluate):
            assert message.prefix == self._text, "questions are about the newest base"
            self._drafter.evaluations += len(message.sequences)
            psi = tuple(self._drafter.psi(sequence) for sequence in message.sequences)
            for answer in self._drafter.distort_answer(Evaluated(message.evaluation_id, psi)):
                self._wire.put(answer)
            return
        assert message.commit_seq == self._commit_seq + 1
        assert message.offset == self._text.length
        self.commits.append(message)
        self._commit_seq = message.commit_seq
        settled = self._drafter.items(self._draft[: len(message.items)])
        agrees = self._request.method is not Method.SLRS and settled == message.items
        self._draft = self._draft[len(message.items) :] if agrees else []
        self._is_whole = False
        self._text = self._text.extend(message.items)
        self._tokens += len(message.items)
        self._news.set()

    async def receive(self) -> Block | Evaluated:
        """The next message."""
        message = await self._wire.get()
        assert isinstance(message, Block | Evaluated)
        return message

    async def work(self) -> None:
        """Draft for ever."""
        while True:
            self._news.clear()
            if self._is_full or self._drafter.silent:
                await self._news.wait()
                continue
            await asyncio.sleep(self._drafter.token_ms * self._drafter.random.random() * 2 / 1e3)
            if self._is_full:
                continue
            for block in self._draw_block() if self._request.method is Method.SLRS else self._draw_token():
                for message in self._drafter.distort(block):
                    self._wire.put(message)

    @property
    def _is_full(self) -> bool:
        items = self._drafter.items(self._draft[-1:])
        return self._is_whole or len(self._draft) >= self._request.max_ahead_tokens or _ends(items)

    def _draw_token(self) -> Iterator[Block]:
        start = self._text.extend(self._drafter.items(self._draft))
        position = self._tokens + len(self._draft)
        token, distribution = self._drafter.draw(position, self._drafter.random)
        self._draft.append(token)
        evidence = ProposalEvidence((distribution,)) if self._request.method is not Method.TLI_EXACT else None
        yield Block(self._commit_seq, start, self._drafter.items((token,)), self._is_full, (token,), evidence)

    def _draw_block(self) -> Iterator[Block]:
        """A block in one message or two; what is in it depends on its base alone."""
        random = Random(f"{self._drafter.digest!r} {self._tokens}")
        limit, ids, missing = self._request.max_ahead_tokens, list[int](), False
        while len(ids) < limit and not missing and not _ends(self._drafter.items(ids[-1:])):
            missing = random.random() < self._drafter.missing_rate
            if not missing:
                ids.append(self._drafter.draw(self._tokens + len(ids), random)[0])
        self._is_whole = True
        cut = self._drafter.random.randrange(len(ids) + 1)
        for part, rest in ((ids[:cut], ids[cut:]), (ids[cut:], [])):
            if part or (missing and not rest):
                start = self._text.extend(self._drafter.items(ids[: len(ids) - len(part) - len(rest)]))
                first = len(ids) - len(part) - len(rest)
                values = tuple(self._conditional(ids, first + index) for index in range(len(part)))
                evidence: Evidence = PsiEvidence(values, missing and not rest)
                yield Block(self._commit_seq, start, self._drafter.items(part), not rest, tuple(part), evidence)
                if not rest:
                    return

    def _conditional(self, ids: Sequence[int], index: int) -> float:
        before = self._drafter.psi(ids[:index]) if index else 1.0
        return self._drafter.psi(ids[: index + 1]) / before


class FakeIdDrafter(FakeDrafter):
    """A drafter of the target's own tokens, which knows what the target will say as well as ``accuracy`` says.

    Its ψ of a sequence is a product of made-up numbers, one for each token.
    """

    def __init__(
        self,
        path: Sequence[int],
        table: WholeVocabulary,
        *,
        accuracy: float = 1.0,
        token_ms: float = 3.0,
        faults: Faults | None = None,
        seed: int = 0,
        silent: bool = False,
        digest: bytes = b"drafter",
        missing_rate: float = 0.0,
        knows_vocabulary: bool = True,
    ) -> None:
        super().__init__(b"", accuracy=accuracy, token_ms=token_ms, faults=faults, seed=seed, silent=silent)
        self.path = tuple(path)
        self.table = table
        self.digest = digest
        self.methods = (Method.EXACT, *ID_METHODS)
        self.missing_rate = missing_rate
        self.evaluations = 0
        self._knows_vocabulary = knows_vocabulary
        self._sayable = [t for t in range(len(table)) if table.token_bytes(t) or table.role(t)]

    def items(self, ids: Sequence[int]) -> tuple[Item, ...]:
        """Their text, one item a token."""
        return tuple(self.table.role(token) or self.table.token_bytes(token) for token in ids)

    def draw(self, position: int, random: Random) -> tuple[int, SparseDistribution]:
        """A token for this position of the generation, and a distribution that tells it from every other draw."""
        truth = self.path[position % len(self.path)]
        right = random.random() < self.accuracy and truth in self._sayable
        token = truth if right else random.choice(self._sayable)
        other = next(t for t in self._sayable if t != token)
        return token, SparseDistribution((token, other), (0.75, 0.25))

    def psi(self, sequence: Sequence[int]) -> float:
        """ψ of a sequence."""
        value = 1.0
        for token in sequence:
            value *= conditional_psi(token)
        return value

    def distort_answer(self, answer: Evaluated) -> Iterator[object]:
        """What goes out in place of an answer; subclasses lie here."""
        yield answer

    async def register_vocabulary(self, digest: bytes, vocabulary: WholeVocabulary) -> int:
        """Part of ``Drafter``."""
        self._knows_vocabulary = True
        return await super().register_vocabulary(digest, vocabulary)

    @asynccontextmanager
    async def open(self, request: DraftOpen) -> AsyncIterator[FakeIdStream]:  # type: ignore[override]
        """Part of ``Drafter``."""
        number = len(self.opened)
        self.opened.append(request)
        await asyncio.sleep(self.token_ms / 1e3)
        error = self.faults.open_error(number)
        if error is not None:
            raise error
        if not self._knows_vocabulary:
            raise NotFoundError("no such vocabulary")
        assert items_length(request.committed) == 0 or request.committed_tokens > 0
        stream = FakeIdStream(self, request, Wire(self.faults.lifetime(number)))
        self.streams.append(stream)  # type: ignore[arg-type]
        async with working(stream.work(), self):
            yield stream


class FalseIdDrafter(FakeIdDrafter):
    """Says that its ids are other text than they are, or leaves its evidence out."""

    def distort(self, block: Block) -> Iterator[object]:
        """Part of :class:`FakeDrafter`."""
        if not block.items or self.random.random() < 0.5:
            yield Block(block.commit_seq, block.start, block.items, block.paused, block.target_ids, PsiEvidence((2.0,)))
        else:
            items = (b"\x00false", *block.items[1:])
            yield Block(block.commit_seq, block.start, items, block.paused, block.target_ids, block.evidence)


def conditional_psi(token: int) -> float:
    """The made-up ψ of a token after whatever comes before it."""
    return 1.0 / (2 + token % 7)


def _ends(items: Sequence[Item]) -> bool:
    return bool(items) and items[-1] in TERMINAL_ROLES
