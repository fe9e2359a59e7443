"""Fakes for the verifier's round logic: a target that is a pure function, and an engine that steps when told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from draftmesh.core.errors import InvalidRequestError
from draftmesh.core.evidence import Evidence, PsiEvidence
from draftmesh.core.sampling import StopConditions
from draftmesh.core.text import Role, TokenPrefix
from draftmesh.core.verify import PsiQuery, PsiReply, TokenLogprobs, Verdict, VerifyRound
from draftmesh.decoding.stopping import StopTracker
from draftmesh.decoding.string_rejection import LazyResidual, Recovered
from draftmesh.engine.judging import Judgement
from draftmesh.engine.stats import StepReport
from draftmesh.verifier.committed import CommittedTokens
from draftmesh.verifier.placement import Work
from draftmesh.verifier.rounds import RoundLimits, Rounds
from tests.helpers.clocks import HandClock

EOS = 0


class LetterTable:
    """A vocabulary of one-letter tokens: id 0 is the end token, id n the n-th letter."""

    def __init__(self, size: int = 5) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def token_bytes(self, token: int) -> bytes:
        """The token's letter."""
        return b"" if token == EOS else bytes([ord("a") + token - 1])

    def role(self, token: int) -> Role | None:
        """EOS for the end token."""
        return Role.EOS if token == EOS else None

    def is_fallback(self, token: int) -> bool:
        """No token stands in for others."""
        del token
        return False


class FakeResidual(LazyResidual):
    """Fails a number of times, asking for other ids each time, and then recovers the token that it was made for."""

    def __init__(self, token: int, failures: int) -> None:
        self._token = token
        self._failures = failures

    @property
    def ids(self) -> tuple[int, ...]:
        """Fewer ids with every failure that is left."""
        return tuple(range(1, 2 + self._failures))

    def answer(self, psi: Sequence[float]) -> Recovered | None:
        """Part of ``LazyResidual``."""
        if len(psi) != len(self.ids):
            raise InvalidRequestError("another number of values")
        self._failures -= 1
        return None if self._failures >= 0 else Recovered(self._token, TokenLogprobs(-float(self._token)))


class FunctionTarget:
    """A target whose next token is a function of a seed and the tokens before."""

    def __init__(self, seed: int = 0, size: int = 5, *, says_eos: bool = False) -> None:
        self._seed = seed
        self._first = 0 if says_eos else 1
        self._size = size

    def next_token(self, before: Sequence[int]) -> int:
        """What the target says after ``before``."""
        digest = hashlib.blake2b(repr((self._seed, tuple(before))).encode(), digest_size=8).digest()
        return self._first + int.from_bytes(digest, "big") % (self._size - self._first)

    def path(self, length: int) -> tuple[int, ...]:
        """The first tokens of everything it says."""
        ids: list[int] = []
        while len(ids) < length:
            ids.append(self.next_token(ids))
        return tuple(ids)


@dataclass
class SteppedEngine:
    """One sequence of a fake engine; ``step`` does one engine step for it."""

    target: FunctionTarget
    committed: list[int]
    clock: HandClock
    step_ms: float = 10.0
    failures: int = 0
    """Questions that a residual asks in vain before it has its token."""

    looked_up: int = 0
    """Tokens that a step of a free run looks up: every other time the target says all of them, else none."""

    draft: tuple[int, ...] | None = None
    evidence: Evidence | None = None
    run: int = 0
    submitted: list[Work] = field(default_factory=list)
    rounds: Rounds | None = None

    def submit(self, work: Work, arrived_s: float) -> None:  # noqa: ARG002
        """Part of ``Decoding``."""
        assert self.draft is None, "submitted while a draft is being judged"
        assert self.run == 0, "submitted while a free run goes on"
        self.submitted.append(work)
        self.draft, self.evidence, self.run = work.draft, work.evidence, work.run

    def extend(self, ids: tuple[int, ...]) -> None:
        """Part of ``Decoding``."""
        assert self.idle, "extended while a request is under way"
        self.committed.extend(ids)

    def interrupt(self) -> None:
        """Part of ``Decoding``."""
        self.run = 0

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return self.draft is None and self.run == 0

    def step(self) -> bool:
        """Judge the draft at hand, or decode one token of the free run; False if there is nothing to do."""
        if self.idle:
            return False
        assert self.rounds is not None
        draft, self.draft = self.draft, None
        self.run -= draft is None
        looked_up = () if draft or self.evidence else self._look_up()
        rows = 1 + len(draft or looked_up)
        report = StepReport(rows, 1, self.step_ms, self.clock.now_s, looked_up_rows=len(looked_up))
        self.clock.now_s += self.step_ms / 1000
        judgement = self._judge(draft or looked_up)
        self.evidence = None
        settled = self.rounds.settle(judgement)
        self.committed.extend(settled)
        if len(settled) < len(judgement.tokens) or judgement.residual is not None:
            self.run = 0
        self.rounds.stepped(settled, judgement, report, last=self.idle)
        return True

    def run_out(self) -> None:
        """Step until there is nothing to do."""
        while self.step():
            pass

    def _look_up(self) -> tuple[int, ...]:
        says_all = len(self.committed) % 2
        path = list(self.committed)
        for _ in range(self.looked_up):
            path.append(self.target.next_token(path) if says_all else 0)
        return tuple(path[len(self.committed) :])

    def _judge(self, draft: tuple[int, ...]) -> Judgement:
        said: list[int] = []
        while True:
            said.append(self.target.next_token(self.committed + said))
            position = len(said) - 1
            if position == len(draft) or draft[position] != said[position]:
                break
        logprobs = tuple(TokenLogprobs(-float(token)) for token in said)
        if isinstance(self.evidence, PsiEvidence) and (position < len(draft) or self.evidence.missing_next):
            residual = FakeResidual(said[-1], self.failures)
            return Judgement(position, tuple(said[:-1]), logprobs[:-1], residual)
        return Judgement(position, tuple(said), logprobs)


@dataclass
class RoundBench:
    """A session's rounds on a fake engine, with everything that was emitted."""

    engine: SteppedEngine
    rounds: Rounds
    verdicts: list[Verdict]
    queries: list[PsiQuery]
    target: FunctionTarget
    clock: HandClock
    next_round: int = 1
    answered: int = 0
    """Queries, the newest of them, that have been answered."""

    def prefix(self, length: int) -> TokenPrefix:
        """The name of the target's first tokens."""
        return TokenPrefix().extend(self.target.path(length))

    def draft(self, base: int, right: int, wrong: int = 0) -> tuple[int, ...]:
        """A draft after ``base`` tokens: ``right`` tokens that the target will say, then ``wrong`` others."""
        path = self.target.path(base + right + 1)
        other = 1 + path[-1] % 4
        return path[base : base + right] + (other,) * wrong

    def send(
        self,
        base: TokenPrefix | int,
        draft: tuple[int, ...] = (),
        free_run: int = 0,
        evidence: Evidence | None = None,
    ) -> VerifyRound:
        """Send the next round."""
        prefix = self.prefix(base) if isinstance(base, int) else base
        request = VerifyRound(self.next_round, prefix, draft, evidence, free_run)
        self.rounds.receive(request, self.clock.now_s)
        self.next_round += 1
        return request

    def send_block(self, base: TokenPrefix | int, draft: tuple[int, ...], *, missing_next: bool = False) -> VerifyRound:
        """Send a block of ``slrs`` as the next round."""
        return self.send(base, draft, evidence=PsiEvidence((0.5,) * len(draft), missing_next))

    @property
    def waits(self) -> bool:
        """Whether the newest question has no answer yet."""
        return bool(self.queries) and self.answered < self.queries[-1].query_id

    def reply(self) -> None:
        """Answer the newest question."""
        query = self.queries[-1]
        self.answered = query.query_id
        self.rounds.answer_psi(PsiReply(query.query_id, (0.5,) * len(query.ids)))

    def run_out(self) -> None:
        """Step, and answer questions, until there is nothing to do."""
        self.engine.run_out()
        while self.waits:
            self.reply()
            self.engine.run_out()

    def take(self) -> list[Verdict]:
        """What was emitted since the last call."""
        taken, self.verdicts[:] = list(self.verdicts), []
        return taken


def round_bench(
    *,
    seed: int = 0,
    stop: StopConditions | None = None,
    committed: Sequence[int] = (),
    says_eos: bool = False,
    limits: RoundLimits | None = None,
    step_ms: float = 10.0,
    failures: int = 0,
    looked_up: int = 0,
) -> RoundBench:
    """A fresh session on a fake engine."""
    stop = stop or StopConditions(max_tokens=1000)
    limits = limits or RoundLimits(max_waiting_rounds=4, kept_rounds=3, flush_interval_ms=50.0)
    clock, target = HandClock(), FunctionTarget(seed, says_eos=says_eos)
    verdicts: list[Verdict] = []
    queries: list[PsiQuery] = []
    engine = SteppedEngine(target, list(committed), clock, step_ms, failures, looked_up)
    tracker = StopTracker(stop, LetterTable())
    tracker.settle(committed)

    def emit(message: Verdict | PsiQuery) -> None:
        if isinstance(message, PsiQuery):
            queries.append(message)
        else:
            verdicts.append(message)

    rounds = Rounds(engine, CommittedTokens(committed), tracker, limits, clock=clock, emit=emit)
    engine.rounds = rounds
    return RoundBench(engine, rounds, verdicts, queries, target, clock)
