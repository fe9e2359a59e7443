"""Opens sessions: who may come in, what each one holds, and how it gives everything back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from draftmesh.core.endpoint import VerifierInfo
from draftmesh.core.errors import AlreadyOpenError, FencedError, UnavailableError
from draftmesh.core.fence import Fence
from draftmesh.core.protocols import Clock, TokenTable
from draftmesh.core.verify import PsiReply, Verdict, VerifyOpen, VerifyRound
from draftmesh.engine.engine_thread import EngineThread
from draftmesh.engine.step_recorder import StepRecorder
from draftmesh.telemetry.metrics import VerifierMetrics
from draftmesh.telemetry.tracing import tracer
from draftmesh.transport.codec_common import Draining
from draftmesh.transport.fences import Claim, FenceRegistry
from draftmesh.transport.load_board import LoadBoard
from draftmesh.transport.outbox import Outbox
from draftmesh.verifier.admission import check_open, check_round
from draftmesh.verifier.gathering import Gathering
from draftmesh.verifier.inbox import Inbox
from draftmesh.verifier.round_telemetry import RoundTelemetry
from draftmesh.verifier.rounds import RoundLimits
from draftmesh.verifier.session import EngineSession, Outgoing


@dataclass(frozen=True, slots=True)
class Target:
    """The target model, as the sessions of this verifier see it."""

    info: VerifierInfo
    vocabulary: TokenTable
    vocabulary_size: int
    """Ids below this are tokens, both of the tokenizer and of the model."""

    engine: EngineThread
    limits: RoundLimits
    gathering: Gathering


class OpenSession:
    """One open session, in the event loop: messages to its rounds, and messages from them."""

    def __init__(
        self,
        opened: VerifyOpen,
        target: Target,
        session: EngineSession,
        *,
        claim: Claim,
        outbox: Outbox[Outgoing],
        telemetry: RoundTelemetry,
        clock: Clock,
    ) -> None:
        self._opened = opened
        self._target = target
        self._session = session
        self._claim = claim
        self._inbox = Inbox(target.engine)
        self._outbox = outbox
        self._telemetry = telemetry
        self._clock = clock

    def receive(self, message: VerifyOpen | VerifyRound | PsiReply, fence: Fence, traceparent: str) -> None:
        """Take in one message of the session's stream.

        Raises:
            FencedError: the message, or the whole stream, no longer speaks for the session.
            AlreadyOpenError: a second Open.
            InvalidRequestError: a malformed round.
            UnavailableError: the engine has been closed.

        What is wrong with a message in the state that the session has when its turn comes ends the session later.
        """
        self._claim.check(fence)
        if isinstance(message, VerifyOpen):
            raise AlreadyOpenError("the session is open already")
        if isinstance(message, PsiReply):
            self._inbox.post(lambda: self._session.answer_psi(message))
            return
        check_round(message, self._opened.method, self._target.info, len(self._target.vocabulary))
        self._telemetry.asked(message, traceparent)
        arrived_s = self._clock.monotonic()
        self._inbox.post(lambda: self._session.receive(message, arrived_s))

    async def wait_for_room(self) -> None:
        """Return when little enough lies on the way to the engine, and to the other side, to be asked for more."""
        await self._inbox.wait_for_room()
        await self._outbox.wait_for_room()

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes from the other side: end the stream after what has been said already."""
        self._outbox.close(error)

    async def get(self) -> Outgoing | None:
        """The next message to send, or None at the end; raises the error that the session ends with."""
        message = await self._outbox.get()
        if isinstance(message, Verdict):
            self._telemetry.said(message)
        return message


class Sessions:
    """Every session of one verifier. Lives in one event loop."""

    def __init__(self, target: Target, board: LoadBoard, metrics: VerifierMetrics, clock: Clock = time) -> None:
        self._target = target
        self._board = board
        self._metrics = metrics
        self._clock = clock
        self._tracer = tracer()
        self._steps = StepRecorder(metrics.batch_sequences, metrics.step_duration)
        self._fences = FenceRegistry()
        self._outboxes: set[Outbox[Outgoing]] = set()

    @property
    def info(self) -> VerifierInfo:
        """Who this verifier is."""
        return self._target.info

    def drain(self, grace_ms: int) -> None:
        """Take no new sessions, and ask for the open ones to be moved within ``grace_ms``."""
        self._board.drain()
        for outbox in self._outboxes:
            outbox.put(Draining(grace_ms))

    @asynccontextmanager
    async def open(self, request: VerifyOpen) -> AsyncIterator[OpenSession]:
        """Hold a session open; on leaving, or as soon as a newer stream claims it, everything that it holds is freed.

        Raises:
            InvalidRequestError, UnsupportedError, StateError: as ``admission.check_open``; or the generation of the
                committed ids has ended already.
            FencedError, AlreadyOpenError: another stream speaks for the session.
            UnavailableError: the verifier is about to stop.
            ExhaustedError: no session, or no KV block, is free.
        """
        check_open(request, self._target.info, self._target.vocabulary_size)
        outbox, held = Outbox[Outgoing](), ExitStack()
        superseded = partial(_supersede, held, outbox)
        with held, self._fences.claim(request.session_id, request.fence, superseded) as claim:
            held.enter_context(self._board.admit())
            session = EngineSession(
                request,
                self._target.vocabulary,
                self._target.limits,
                outbox=outbox,
                steps=self._steps,
                gathering=self._target.gathering,
                clock=self._clock,
            )
            telemetry = RoundTelemetry(request, self._metrics, self._tracer)
            self._hold(held, session, outbox, telemetry)
            await self._target.engine.call(session.open)
            yield OpenSession(
                request, self._target, session, claim=claim, outbox=outbox, telemetry=telemetry, clock=self._clock
            )

    def _hold(
        self, held: ExitStack, session: EngineSession, outbox: Outbox[Outgoing], telemetry: RoundTelemetry
    ) -> None:
        """Have ``held`` undo all that follows from a session."""
        held.callback(telemetry.close)
        self._metrics.sessions_active.add(1)
        held.callback(self._metrics.sessions_active.add, -1)
        self._outboxes.add(outbox)
        held.callback(self._outboxes.discard, outbox)
        held.callback(self._close, session)

    def _close(self, session: EngineSession) -> None:
        with suppress(UnavailableError):  # a closed engine holds nothing
            self._target.engine.post(lambda _: session.close())


def _supersede(held: ExitStack, outbox: Outbox[Outgoing]) -> None:
    held.close()
    outbox.close(FencedError("a newer stream speaks for the session"))
