"""A session on the real engine, whose model counts: after token t comes t + 1."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from opentelemetry.metrics import NoOpMeter
from opentelemetry.trace import NoOpTracer

from draftmesh.core.endpoint import VerifierInfo
from draftmesh.core.errors import UnavailableError
from draftmesh.core.evidence import ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import FinishReason, Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import PsiQuery, PsiReply, Verdict, VerifyOpen, VerifyRound
from draftmesh.decoding.judge import Judge
from draftmesh.decoding.sampler import Sampler
from draftmesh.engine.engine import Engine
from draftmesh.engine.step_recorder import StepRecorder
from draftmesh.telemetry.metrics import VerifierMetrics
from draftmesh.transport.fences import Claim
from draftmesh.transport.outbox import Outbox
from draftmesh.verifier.admission import METHODS
from draftmesh.verifier.gathering import Gathering
from draftmesh.verifier.inbox import MAX_BACKLOG
from draftmesh.verifier.round_telemetry import RoundTelemetry
from draftmesh.verifier.rounds import RoundLimits
from draftmesh.verifier.session import EngineSession, Outgoing
from draftmesh.verifier.sessions import OpenSession, Target
from tests.helpers.engines import fake_engine
from tests.helpers.fakes_token_table import FakeTokenTable

TABLE = FakeTokenTable([bytes([65 + number]) for number in range(40)])
INFO = VerifierInfo("counting", b"", b"", b"", METHODS, 20, 8, 8)
METRICS = VerifierMetrics.create(NoOpMeter("test"))


class PostedAtOnce:
    """An engine's thread for tests that have one thread alone."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def post(self, fn: Callable[[Engine], None]) -> None:
        """Run it now."""
        fn(self.engine)


class PostedLater(PostedAtOnce):
    """An engine's thread in the middle of a long step."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.posted: list[Callable[[Engine], None]] = []

    def post(self, fn: Callable[[Engine], None]) -> None:
        """Keep it."""
        self.posted.append(fn)


class NotedGathering(Gathering):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, int]] = []

    def left(self, sequence_id: int, tokens: int, now_s: float) -> None:
        """With its tokens."""
        self.told.append(("left", tokens))
        super().left(sequence_id, tokens, now_s)

    def came(self, sequence_id: int, rows: int, arrived_s: float) -> None:
        """With its rows."""
        self.told.append(("came", rows))
        super().came(sequence_id, rows, arrived_s)

    def forget(self, sequence_id: int) -> None:
        """For good."""
        self.told.append(("forgotten", 0))
        super().forget(sequence_id)


def opened_on(
    thread: PostedAtOnce,
    *,
    model_tokens: int,
    max_tokens: int = 8,
    method: Method = Method.EXACT,
    gathering: Gathering | None = None,
) -> OpenSession:
    """A session with the prompt 1, 2, 3, 4."""
    opening = VerifyOpen(
        "session",
        Fence(),
        (1, 2, 3, 4),
        (),
        SamplingParams(),
        StopConditions(max_tokens),
        NoiseKey(bytes(16)),
        method,
    )
    outbox: Outbox[Outgoing] = Outbox()
    limits = RoundLimits(8, 8, 50.0)
    steps = StepRecorder(METRICS.batch_sequences, METRICS.step_duration)
    gathering = gathering or Gathering()
    session = EngineSession(opening, TABLE, limits, outbox=outbox, steps=steps, gathering=gathering, clock=time)
    session.open(thread.engine)
    return OpenSession(
        opening,
        Target(INFO, TABLE, model_tokens, thread, limits, gathering),  # type: ignore[arg-type]
        session,
        claim=Claim("session", Fence()),
        outbox=outbox,
        telemetry=RoundTelemetry(opening, METRICS, NoOpTracer()),
        clock=time,
    )


async def verdicts_on(
    request: VerifyRound, *, model_tokens: int, max_tokens: int, method: Method = Method.EXACT
) -> list[Verdict]:
    """What a session is answered to a round; ψ of everything is 0."""
    judge = Judge(Sampler(TABLE, "cpu", model_tokens))
    engine, _ = fake_engine(context_tokens=INFO.max_context_tokens, vocabulary_size=model_tokens, judge=judge)
    session = opened_on(PostedAtOnce(engine), model_tokens=model_tokens, max_tokens=max_tokens, method=method)
    session.receive(request, Fence(), "")
    said: list[Verdict] = []
    while not said or not said[-1].final:
        while engine.step() is not None:
            engine.check_integrity()
        message = await session.get()
        if isinstance(message, PsiQuery):
            session.receive(PsiReply(message.query_id, (0.0,) * len(message.ids)), Fence(), "")
        else:
            assert isinstance(message, Verdict)
            said.append(message)
    return said


EVIDENCE = {
    Method.EXACT: None,
    Method.TLI_EXACT: None,
    Method.TLI: ProposalEvidence(tuple(SparseDistribution((token,), (1.0,)) for token in (5, 6, 35, 8))),
    Method.SLRS: PsiEvidence((1.0,) * 4),
}


@pytest.mark.parametrize("method", EVIDENCE)
async def test_a_draft_token_that_the_model_lacks_is_rejected(method: Method) -> None:
    """The target cannot say what only the tokenizer knows: the draft is wrong there, and the session goes on."""
    request = VerifyRound(1, TokenPrefix(), (5, 6, 35, 8), EVIDENCE[method])
    (verdict,) = await verdicts_on(request, model_tokens=30, max_tokens=8, method=method)
    assert (verdict.accepted, verdict.tokens) == (2, (5, 6, 7))


async def test_a_free_run_after_a_wrong_draft_ends_with_the_context() -> None:
    """However much of the room the draft seemed to take, the round is answered to its end."""
    verdicts = await verdicts_on(VerifyRound(1, TokenPrefix(), (9, 9, 9), free_run=100), model_tokens=40, max_tokens=16)
    assert [token for verdict in verdicts for token in verdict.tokens] == list(range(5, 21))
    assert (verdicts[-1].final, verdicts[-1].finish_reason) == (True, FinishReason.LENGTH)


async def test_requests_that_a_long_step_keeps_waiting_are_bounded() -> None:
    """No more of them are read once a certain number lies before the engine, until it has taken one."""
    thread = PostedLater(fake_engine(vocabulary_size=40)[0])
    session = opened_on(thread, model_tokens=40)
    request = VerifyRound(1, TokenPrefix(), (5,))
    for _ in range(MAX_BACKLOG):
        await session.wait_for_room()
        session.receive(request, Fence(), "")
    room = asyncio.ensure_future(session.wait_for_room())
    await asyncio.sleep(0)
    assert not room.done()
    thread.posted[0](thread.engine)
    await room


async def test_who_waits_for_steps_is_told_when_a_session_leaves_and_comes() -> None:
    """A session has left that needs another round; one that decodes on, has ended or is closed has not."""
    engine, _ = fake_engine(context_tokens=INFO.max_context_tokens, vocabulary_size=40)
    noted = NotedGathering()
    session = opened_on(PostedAtOnce(engine), model_tokens=40, gathering=noted)
    rounds = (
        VerifyRound(1, TokenPrefix(), (5, 6)),
        VerifyRound(2, TokenPrefix().extend((5, 6, 7)), (8,), free_run=1),
        VerifyRound(3, TokenPrefix().extend((5, 6, 7, 8, 9, 10)), (11, 12)),
    )
    for request in rounds:
        session.receive(request, Fence(), "")
        while engine.step() is not None:
            pass
    # The second round has one token from its last step, and the third one, cut to the room left, ends the generation.
    assert noted.told == [("came", 3), ("left", 3), ("came", 2), ("left", 1), ("came", 2)]
    engine.fail_all(UnavailableError("closed"))
    assert noted.told[-1] == ("forgotten", 0)
