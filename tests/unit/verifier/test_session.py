"""A session on the real engine, whose model counts: after token t comes t + 1."""

from __future__ import annotations

import time
from collections.abc import Callable

from opentelemetry.metrics import NoOpMeter
from opentelemetry.trace import NoOpTracer

from draftmesh.core.endpoint import VerifierInfo
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import FinishReason, Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import Verdict, VerifyOpen, VerifyRound
from draftmesh.engine.engine import Engine
from draftmesh.engine.step_recorder import StepRecorder
from draftmesh.telemetry.metrics import VerifierMetrics
from draftmesh.transport.fences import Claim
from draftmesh.transport.outbox import Outbox
from draftmesh.verifier.round_telemetry import RoundTelemetry
from draftmesh.verifier.rounds import RoundLimits
from draftmesh.verifier.session import EngineSession, Outgoing
from draftmesh.verifier.sessions import OpenSession, Target
from tests.helpers.engines import fake_engine
from tests.helpers.fakes_token_table import FakeTokenTable

TABLE = FakeTokenTable([bytes([65 + number]) for number in range(40)])
INFO = VerifierInfo("counting", b"", b"", b"", (Method.EXACT,), 20, 8, 8)
METRICS = VerifierMetrics.create(NoOpMeter("test"))


class PostedAtOnce:
    """An engine's thread for tests that have one thread alone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def post(self, fn: Callable[[Engine], None]) -> None:
        """Run it now."""
        fn(self._engine)


async def verdicts_on(*rounds: VerifyRound, model_tokens: int, max_tokens: int) -> list[Verdict]:
    """What a session with the prompt 1, 2, 3, 4 is answered, to the end of what the engine has to do."""
    engine, _ = fake_engine(context_tokens=INFO.max_context_tokens, vocabulary_size=model_tokens)
    opening = VerifyOpen(
        "session",
        Fence(),
        (1, 2, 3, 4),
        (),
        SamplingParams(),
        StopConditions(max_tokens),
        NoiseKey(bytes(16)),
        Method.EXACT,
    )
    outbox: Outbox[Outgoing] = Outbox()
    limits = RoundLimits(8, 8, 50.0)
    steps = StepRecorder(METRICS.batch_sequences, METRICS.step_duration)
    session = EngineSession(opening, TABLE, limits, outbox=outbox, steps=steps, clock=time)
    session.open(engine)
    open_session = OpenSession(
        opening,
        Target(INFO, TABLE, model_tokens, PostedAtOnce(engine), limits),  # type: ignore[arg-type]
        session,
        claim=Claim("session", Fence()),
        outbox=outbox,
        telemetry=RoundTelemetry(opening, METRICS, NoOpTracer()),
        clock=time,
    )
    for request in rounds:
        open_session.receive(request, Fence(), "")
    while engine.step() is not None:
        engine.check_integrity()
    open_session.end()
    said: list[Verdict] = []
    while (message := await open_session.get()) is not None:
        assert isinstance(message, Verdict)
        said.append(message)
    return said


async def test_a_draft_ends_where_the_model_lacks_a_token_of_the_tokenizer() -> None:
    """The target cannot say it: the draft is wrong there, and no reason to end the session."""
    (verdict,) = await verdicts_on(VerifyRound(1, TokenPrefix(), (5, 6, 35, 8)), model_tokens=30, max_tokens=8)
    assert (verdict.accepted, verdict.tokens) == (2, (5, 6, 7))


async def test_a_free_run_after_a_wrong_draft_ends_with_the_context() -> None:
    """However much of the room the draft seemed to take, the round is answered to its end."""
    verdicts = await verdicts_on(VerifyRound(1, TokenPrefix(), (9, 9, 9), free_run=100), model_tokens=40, max_tokens=16)
    assert [token for verdict in verdicts for token in verdict.tokens] == list(range(5, 21))
    assert (verdicts[-1].final, verdicts[-1].finish_reason) == (True, FinishReason.LENGTH)
