"""The gRPC peers against scripted servicers on loopback."""

# ruff: noqa: ARG001 (handlers have gRPC's signature, whether they need all of it or not)

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import grpc
import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from draftmesh.core.draft import Block, Commit, DraftOpen, Evaluate, Evaluated
from draftmesh.core.endpoint import LoadReport, TokenizerFile
from draftmesh.core.errors import (
    CancelledByPeerError,
    DeadlineError,
    ExhaustedError,
    FencedError,
    InternalError,
    MalformedBlockError,
    UnavailableError,
)
from draftmesh.core.fence import Fence
from draftmesh.core.protocols import Drafter, DraftStream, Verifier
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import Role, TextPrefix, TokenPrefix
from draftmesh.core.verify import PsiQuery, PsiReply, RoundStatus, Verdict, VerifyOpen, VerifyRound
from draftmesh.transport.codec_common import Draining
from draftmesh.transport.codec_draft import DraftOpened, draft_request_from_proto, draft_response_to_proto
from draftmesh.transport.codec_verify import VerifyOpened, verify_request_from_proto, verify_response_to_proto
from draftmesh.transport.codec_vocabulary import RegisteredVocabulary
from draftmesh.transport.config import Timeouts
from draftmesh.transport.peers import GrpcDrafter, GrpcVerifier
from draftmesh.transport.status import grpc_status_of
from draftmesh.v1 import drafter_pb2
from tests.helpers.servers import (
    DRAFTER_INFO,
    DRAFTER_SERVICE,
    VERIFIER_INFO,
    VERIFIER_SERVICE,
    Context,
    Script,
    ScriptedDrafter,
    ScriptedVerifier,
    running_server,
)

FENCE = Fence(3, 2)
KEY = NoiseKey(bytes(range(16)))
OPEN_DRAFT = DraftOpen(
    session_id="s",
    fence=FENCE,
    context=(Role.BOS, b"Once"),
    committed=(b" upon",),
    sampling=SamplingParams(temperature=0.5, top_p=0.9),
    noise_key=KEY,
    method=Method.EXACT,
    max_ahead_tokens=8,
)
OPEN_VERIFY = VerifyOpen(
    session_id="s",
    fence=FENCE,
    prompt_ids=(1, 2),
    committed_ids=(3,),
    sampling=SamplingParams(),
    stop=StopConditions(max_tokens=9, stop=(b"\n",)),
    noise_key=KEY,
    method=Method.EXACT,
)
SPAN = NonRecordingSpan(SpanContext(1, 2, is_remote=False))
TRACEPARENT = f"00-{1:032x}-{2:016x}-00"
OPENED = DraftOpened(b"digest", 6)
BLOCK = Block(1, TextPrefix(5, 77), (b" a", b" time", Role.EOS), paused=True)


def scripted_drafter(*responses: object, then: Script | None = None) -> ScriptedDrafter:
    """A drafter that reads the opening, writes the responses, and then plays on or ends the stream."""

    async def script(context: Context) -> None:
        await context.read()
        for response in responses:
            await context.write(
                response
                if isinstance(response, drafter_pb2.DraftResponse)
                else draft_response_to_proto(response, FENCE)  # type: ignore[arg-type]
            )
        if then is not None:
            await then(context)

    return ScriptedDrafter(script)


@asynccontextmanager
async def connected(servicer: ScriptedDrafter, timeouts: Timeouts | None = None) -> AsyncIterator[GrpcDrafter]:
    """A drafter peer on a server of its own."""
    async with (
        running_server(servicer.register, DRAFTER_SERVICE) as server,
        GrpcDrafter(server.address, timeouts) as drafter,
    ):
        yield drafter


@asynccontextmanager
async def connected_verifier(
    servicer: ScriptedVerifier, timeouts: Timeouts | None = None
) -> AsyncIterator[GrpcVerifier]:
    """A verifier peer on a server of its own."""
    async with (
        running_server(servicer.register, VERIFIER_SERVICE) as server,
        GrpcVerifier(server.address, timeouts) as verifier,
    ):
        yield verifier


async def send_for_ever(stream: DraftStream, message: Commit) -> None:
    """Send until the stream refuses."""
    while True:
        await stream.send(message)


async def receive_for_ever(stream: DraftStream) -> None:
    """Receive until the stream's end."""
    while True:
        await stream.receive()


async def read_forever(context: Context) -> None:
    """Keep the stream open until the client cancels it."""
    while await context.read() is not grpc.aio.EOF:
        pass


async def test_the_peers_satisfy_the_protocols() -> None:
    """GrpcDrafter and GrpcVerifier are a Drafter and a Verifier (checked by mypy through these assignments)."""
    async with GrpcDrafter("127.0.0.1:1") as grpc_drafter, GrpcVerifier("127.0.0.1:1") as grpc_verifier:
        drafter: Drafter = grpc_drafter
        verifier: Verifier = grpc_verifier
        assert isinstance(drafter.open(OPEN_DRAFT), AbstractAsyncContextManager)
        assert isinstance(verifier.open(OPEN_VERIFY), AbstractAsyncContextManager)


async def test_the_drafter_receives_the_opening_as_it_was_sent() -> None:
    """What the servicer reads first is the DraftOpen, under its fence."""
    received: list[object] = []

    async def script(context: Context) -> None:
        received.append(draft_request_from_proto(await context.read()))
        await context.write(draft_response_to_proto(OPENED, FENCE))

    async with connected(ScriptedDrafter(script)) as drafter, drafter.open(OPEN_DRAFT):
        pass
    assert received == [OPEN_DRAFT]


async def test_open_yields_what_the_drafter_said_of_itself() -> None:
    """The stream carries the DraftOpened."""
    async with connected(scripted_drafter(OPENED)) as drafter, drafter.open(OPEN_DRAFT) as stream:
        assert stream.opened == OPENED


async def test_blocks_and_answers_arrive_in_order() -> None:
    """A block and an evaluation come out as the core values that went in."""
    evaluated = Evaluated(4, (0.5, 0.25))
    async with (
        connected(scripted_drafter(OPENED, BLOCK, evaluated)) as drafter,
        drafter.open(OPEN_DRAFT) as stream,
    ):
        assert [BLOCK, evaluated] == [await stream.receive(), await stream.receive()]


async def test_commits_and_questions_reach_the_drafter_in_order() -> None:
    """A commit and an evaluation go out as core values."""
    commit, evaluate = Commit(1, 5, (b" a",)), Evaluate(1, TextPrefix(2, 3), ((1, 2), (3,)))
    received: list[object] = []

    async def then(context: Context) -> None:
        received.extend([draft_request_from_proto(await context.read()) for _ in range(2)])
        await context.write(draft_response_to_proto(BLOCK, FENCE))

    async with (
        connected(scripted_drafter(OPENED, then=then)) as drafter,
        drafter.open(OPEN_DRAFT) as stream,
    ):
        await stream.send(commit)
        await stream.send(evaluate)
        await stream.receive()
    assert [commit, evaluate] == received


async def test_a_message_carries_the_traceparent_it_is_given() -> None:
    """The traceparent argument is a field of the request."""
    received: list[str] = []

    async def then(context: Context) -> None:
        received.append((await context.read()).traceparent)
        await context.write(draft_response_to_proto(BLOCK, FENCE))

    async with (
        connected(scripted_drafter(OPENED, then=then)) as drafter,
        drafter.open(OPEN_DRAFT) as stream,
    ):
        await stream.send(Commit(1, 0, ()), traceparent="00-1-2-01")
        await stream.receive()
    assert received == ["00-1-2-01"]


async def test_a_message_carries_the_current_span() -> None:
    """Without an argument the traceparent is that of the span in which send is called."""
    received: list[str] = []

    async def then(context: Context) -> None:
        received.extend([(await context.read()).traceparent for _ in range(2)])
        await context.write(draft_response_to_proto(BLOCK, FENCE))

    async with (
        connected(scripted_drafter(OPENED, then=then)) as drafter,
        drafter.open(OPEN_DRAFT) as stream,
    ):
        with use_span(SPAN):
            await stream.send(Commit(1, 0, ()))
        await stream.send(Commit(2, 0, ()))
        await stream.receive()
    assert received == [TRACEPARENT, ""]


async def test_the_calls_metadata_carries_the_current_span() -> None:
    """The call itself belongs to the span in which the stream is opened."""
    servicer = scripted_drafter(OPENED)
    async with connected(servicer) as drafter:
        with use_span(SPAN):
            async with drafter.open(OPEN_DRAFT):
                pass
    assert servicer.metadata["traceparent"] == TRACEPARENT


async def test_leaving_the_context_ends_the_session_at_the_drafter() -> None:
    """The servicer's handler is cancelled as soon as the stream's context is left."""
    servicer = scripted_drafter(OPENED, then=read_forever)
    async with connected(servicer) as drafter:
        async with drafter.open(OPEN_DRAFT):
            assert not servicer.session_ended.is_set()
        await servicer.session_ended.wait()


async def test_a_cancelled_receive_loses_no_message() -> None:
    """A receive that times out leaves the stream open, and the next one gets the message."""
    go_on = asyncio.Event()

    async def then(context: Context) -> None:
        await go_on.wait()
        await context.write(draft_response_to_proto(BLOCK, FENCE))

    async with (
        connected(scripted_drafter(OPENED, then=then)) as drafter,
        drafter.open(OPEN_DRAFT) as stream,
    ):
        with suppress(TimeoutError):
            await asyncio.wait_for(stream.receive(), 0.01)
        go_on.set()
        assert await stream.receive() == BLOCK


async def test_a_receive_when_the_context_is_left_is_unavailable_not_cancelled() -> None:
    """A task that waits in receive gets UnavailableError when another one closes the stream."""
    async with connected(scripted_drafter(OPENED, then=read_forever)) as drafter:
        async with drafter.open(OPEN_DRAFT) as stream:
            waiting = asyncio.create_task(stream.receive())
            await asyncio.sleep(0)
        with pytest.raises(UnavailableError):
            await waiting


async def test_an_ended_stream_stays_ended() -> None:
    """Every receive after the end raises the same error."""
    async with connected(scripted_drafter(OPENED)) as drafter, drafter.open(OPEN_DRAFT) as stream:
        for _ in range(3):
            with pytest.raises(UnavailableError, match="ended the stream"):
                await stream.receive()


async def test_messages_before_the_end_are_received() -> None:
    """Many messages and the end at once: none is lost, in order."""
    blocks = [Block(number, TextPrefix(), (b"x",)) for number in range(50)]
    async with connected(scripted_drafter(OPENED, *blocks)) as drafter, drafter.open(OPEN_DRAFT) as stream:
        received = [await stream.receive() for _ in blocks]
        with pytest.raises(UnavailableError):
            await stream.receive()
    assert blocks == received


async def test_leaving_the_context_with_unread_messages() -> None:
    """A session may leave while the drafter is far ahead of it."""
    blocks = [Block(number, TextPrefix(), (b"x",)) for number in range(50)]
    servicer = scripted_drafter(OPENED, *blocks, then=read_forever)
    async with connected(servicer) as drafter:
        async with drafter.open(OPEN_DRAFT) as stream:
            await stream.receive()
        await servicer.session_ended.wait()
        with pytest.raises(UnavailableError):
            await receive_for_ever(stream)


async def test_a_stream_that_ends_without_error_is_unavailable() -> None:
    """When the drafter just ends the stream, receive raises UnavailableError."""
    async with connected(scripted_drafter(OPENED)) as drafter, drafter.open(OPEN_DRAFT) as stream:
        with pytest.raises(UnavailableError, match="ended the stream"):
            await stream.receive()


async def test_sending_on_an_ended_stream_is_unavailable() -> None:
    """After the end, send raises UnavailableError."""
    async with connected(scripted_drafter(OPENED)) as drafter, drafter.open(OPEN_DRAFT) as stream:
        with suppress(UnavailableError):
            await stream.receive()
        with pytest.raises(UnavailableError):
            await stream.send(Commit(1, 0, ()))


async def test_the_error_that_ends_a_stream_is_the_servicers() -> None:
    """A FencedError raised in mid-session arrives as a FencedError."""

    async def then(context: Context) -> None:
        raise FencedError("a newer stream")

    async with (
        connected(scripted_drafter(OPENED, then=then)) as drafter,
        drafter.open(OPEN_DRAFT) as stream,
    ):
        with pytest.raises(FencedError, match="a newer stream"):
            await stream.receive()


async def test_a_refused_open_raises_the_refusal() -> None:
    """An ExhaustedError of the open arrives with its hint."""

    async def script(context: Context) -> None:
        raise ExhaustedError("full", retry_after_ms=250)

    async with connected(ScriptedDrafter(script)) as drafter:
        with pytest.raises(ExhaustedError) as caught:
            async with drafter.open(OPEN_DRAFT):
                pass
    assert caught.value.retry_after_ms == 250


async def test_an_unanswered_open_is_a_deadline_error() -> None:
    """A drafter that never answers the open costs the open's deadline, no more."""
    async with connected(ScriptedDrafter(), Timeouts(open_s=0.05)) as drafter:
        with pytest.raises(DeadlineError, match=r"0\.05 s"):
            async with drafter.open(OPEN_DRAFT):
                pass


async def test_nobody_at_the_address_is_unavailable() -> None:
    """Opening a stream to a closed port raises UnavailableError."""
    async with GrpcDrafter("127.0.0.1:1") as drafter:
        with pytest.raises(UnavailableError):
            async with drafter.open(OPEN_DRAFT):
                pass


async def test_a_first_message_other_than_opened_breaks_the_protocol() -> None:
    """A drafter that begins with a block is refused."""
    async with connected(scripted_drafter(BLOCK)) as drafter:
        with pytest.raises(InternalError, match="did not begin with DraftOpened"):
            async with drafter.open(OPEN_DRAFT):
                pass


async def test_a_malformed_block_is_named_as_such() -> None:
    """Lengths that do not add up raise MalformedBlockError at receive."""
    block = drafter_pb2.Block(token_byte_lengths=[3])
    async with (
        connected(scripted_drafter(OPENED, drafter_pb2.DraftResponse(block=block))) as drafter,
        drafter.open(OPEN_DRAFT) as stream,
    ):
        with pytest.raises(MalformedBlockError):
            await stream.receive()


async def test_another_malformed_message_is_the_peers_fault() -> None:
    """A response that says nothing is an InternalError, not an InvalidRequestError of ours."""
    async with (
        connected(scripted_drafter(OPENED, drafter_pb2.DraftResponse())) as drafter,
        drafter.open(OPEN_DRAFT) as stream,
    ):
        with pytest.raises(InternalError, match="malformed"):
            await stream.receive()


async def test_draining_is_noted_and_not_delivered() -> None:
    """A Draining message sets the flag, calls back with the grace, and receive goes on to the next message."""
    graces: list[int] = []
    async with (
        connected(scripted_drafter(OPENED, Draining(1500), BLOCK)) as drafter,
        drafter.open(OPEN_DRAFT) as stream,
    ):
        stream.session.on_draining = graces.append
        before = stream.draining
        message = await stream.receive()
        assert (before, message, stream.draining, graces) == (False, BLOCK, True, [1500])


async def test_a_peer_that_stops_reading_is_given_up() -> None:
    """When flow control blocks longer than send_s, send raises UnavailableError."""
    stuck = asyncio.Event()

    async def then(context: Context) -> None:
        await stuck.wait()

    async with (
        connected(scripted_drafter(OPENED, then=then), Timeouts(send_s=0.2)) as drafter,
        drafter.open(OPEN_DRAFT) as stream,
    ):
        with pytest.raises(UnavailableError, match=r"took no message for 0\.2 s"):
            await send_for_ever(stream, Commit(1, 0, (bytes(4 << 20),)))
        with pytest.raises(UnavailableError, match="closed here"):
            await stream.receive()
    stuck.set()


async def test_concurrent_sends_all_arrive() -> None:
    """Sends from several tasks do not disturb each other."""
    received: list[int] = []

    async def then(context: Context) -> None:
        for _ in range(20):
            received.append((await context.read()).commit.commit_seq)
        await context.write(draft_response_to_proto(BLOCK, FENCE))

    async with (
        connected(scripted_drafter(OPENED, then=then)) as drafter,
        drafter.open(OPEN_DRAFT) as stream,
    ):
        await asyncio.gather(*(stream.send(Commit(number, 0, ())) for number in range(1, 21)))
        await stream.receive()
    assert list(range(1, 21)) == received


async def cancel(context: Context) -> None:
    """End a call as gRPC does; after its first message, since a write that meets the end makes another error of it."""
    await context.read()
    await context.abort(grpc.StatusCode.CANCELLED)


async def cancel_with_details(context: Context) -> None:
    """End a call as our own servers do."""
    await context.read()
    await context.abort_with_status(grpc_status_of(CancelledByPeerError("stopping")))


@pytest.mark.parametrize("withdraw", [cancel, cancel_with_details])
async def test_an_opening_that_the_peer_cancels_is_unavailable(withdraw: Script) -> None:
    """A call that meets a peer just as it stops ends CANCELLED; whoever opened it is told to try another peer."""
    async with connected(ScriptedDrafter(withdraw)) as drafter:
        with pytest.raises(UnavailableError, match="withdrew"):
            async with drafter.open(OPEN_DRAFT):
                pass


async def test_a_verifier_that_cancels_the_opening_is_unavailable() -> None:
    """The same holds for verifiers."""
    async with connected_verifier(ScriptedVerifier(cancel)) as verifier:
        with pytest.raises(UnavailableError, match="withdrew"):
            async with verifier.open(OPEN_VERIFY) as stream:
                await stream.receive()


async def test_info_of_a_drafter() -> None:
    """info() is the servicer's."""
    async with connected(ScriptedDrafter()) as drafter:
        assert await drafter.info() == DRAFTER_INFO


async def test_watch_yields_every_report() -> None:
    """watch() yields reports in order and ends when the drafter ends it."""
    loads = [LoadReport(max_sessions=2), LoadReport(draining=True, max_sessions=2, active_sessions=1)]
    async with connected(ScriptedDrafter(loads=loads)) as drafter:
        assert [load async for load in drafter.watch()] == loads


async def test_watching_nobody_is_unavailable() -> None:
    """watch() of a closed port raises UnavailableError."""
    async with GrpcDrafter("127.0.0.1:1") as drafter:
        with pytest.raises(UnavailableError):
            await anext(drafter.watch())


async def test_tokenizer_files_are_put_together_again() -> None:
    """Files longer than a chunk, and empty ones, arrive whole."""
    files = (TokenizerFile("tokenizer.json", b"0123456789abc"), TokenizerFile("empty.json", b""))
    async with connected(ScriptedDrafter(files=files)) as drafter:
        assert await drafter.tokenizer_files() == files


async def test_register_vocabulary() -> None:
    """A vocabulary arrives with its bytes, roles, holes and specials, and the answer is the drafter's count."""
    texts, roles = (b"a", b"", b"\xff", b"", b""), (None, Role.EOS, None, None, None)
    vocabulary = RegisteredVocabulary(b"digest", texts, roles, frozenset({1, 4}))
    servicer = ScriptedDrafter()
    async with connected(servicer) as drafter:
        shared = await drafter.register_vocabulary(b"digest", vocabulary)
    assert (5, vocabulary) == (shared, servicer.vocabulary)


async def test_a_verify_session() -> None:
    """Rounds, verdicts, questions and answers cross as core values."""
    sent: list[object] = [OPEN_VERIFY, VerifyRound(1, TokenPrefix(), (4, 5), free_run=2), PsiReply(9, (0.5,))]
    answers: list[Verdict | PsiQuery] = [
        Verdict(1, RoundStatus.DONE, TokenPrefix(1, 2), accepted=1, tokens=(4, 6), final=False),
        PsiQuery(9, TokenPrefix(2, 3), (7,)),
    ]
    received: list[object] = []

    async def script(context: Context) -> None:
        received.append(verify_request_from_proto(await context.read()))
        await context.write(verify_response_to_proto(VerifyOpened(b"target", 16), FENCE))
        for answer in answers:
            received.append(verify_request_from_proto(await context.read()))
            await context.write(verify_response_to_proto(answer, FENCE))

    async with connected_verifier(ScriptedVerifier(script)) as verifier, verifier.open(OPEN_VERIFY) as stream:
        opened = await stream.opened()
        await stream.send(VerifyRound(1, TokenPrefix(), (4, 5), free_run=2))
        got = [await stream.receive()]
        await stream.send(PsiReply(9, (0.5,)))
        got.append(await stream.receive())
    assert (VerifyOpened(b"target", 16), sent, answers) == (opened, received, got)


async def test_a_round_need_not_wait_until_a_verifier_has_opened_the_stream() -> None:
    """What the verifier says of itself comes first nevertheless, and is no answer to the round."""
    verdict = Verdict(1, RoundStatus.DONE, TokenPrefix(), tokens=(4,))

    async def script(context: Context) -> None:
        for _ in range(2):
            await context.read()
        await context.write(verify_response_to_proto(VerifyOpened(b"target", 16), FENCE))
        await context.write(verify_response_to_proto(verdict, FENCE))

    async with connected_verifier(ScriptedVerifier(script)) as verifier, verifier.open(OPEN_VERIFY) as stream:
        await stream.send(VerifyRound(1, TokenPrefix(), free_run=1))
        assert await stream.receive() == verdict


async def test_a_verifier_that_does_not_open_the_stream_in_time_is_given_up() -> None:
    """However many rounds it has taken."""
    peer = connected_verifier(ScriptedVerifier(read_forever), Timeouts(open_s=0.2))
    async with peer as verifier, verifier.open(OPEN_VERIFY) as stream:
        await stream.send(VerifyRound(1, TokenPrefix(), free_run=1))
        with pytest.raises(DeadlineError, match="did not open"):
            await stream.receive()


async def test_leaving_the_context_ends_the_session_at_the_verifier() -> None:
    """The servicer's handler is cancelled as soon as the stream's context is left."""

    async def script(context: Context) -> None:
        await context.read()
        await context.write(verify_response_to_proto(VerifyOpened(b"target", 16), FENCE))
        await read_forever(context)

    servicer = ScriptedVerifier(script)
    async with connected_verifier(servicer) as verifier:
        async with verifier.open(OPEN_VERIFY) as stream:
            await stream.opened()
        await servicer.session_ended.wait()


async def test_a_verifiers_info_loads_and_files() -> None:
    """The short calls of a verifier answer with the servicer's values."""
    load, file = LoadReport(max_sessions=3), TokenizerFile("tokenizer.json", b"0123456789")
    async with connected_verifier(ScriptedVerifier(loads=[load], files=[file])) as verifier:
        info, files = await verifier.info(), await verifier.tokenizer_files()
        loads = [report async for report in verifier.watch()]
    assert (VERIFIER_INFO, (file,), [load]) == (info, files, loads)
