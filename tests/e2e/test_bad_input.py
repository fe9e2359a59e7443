"""The contract's table of bad input, sent with plain stubs to a real deployment: what each kind is answered with.

After each of them the deployment answers a good request as before.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2

from draftmesh.client import AsyncClient, GenerateOptions
from draftmesh.coordinator import app as coordinator
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import FinishReason, Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import VerifyOpen, VerifyRound
from draftmesh.transport.codec_common import load_to_proto
from draftmesh.transport.codec_verify import verify_request_to_proto
from draftmesh.v1 import common_pb2, coordinator_pb2, coordinator_pb2_grpc, drafter_pb2, verifier_pb2, verifier_pb2_grpc
from tests.helpers.coordinator_bench import until_ready
from tests.helpers.deployment import NGRAM, PATIENT, Deployment, deployment, until_released
from tests.helpers.servers import DRAFTER_INFO, DRAFTER_SERVICE, Context, ScriptedDrafter, running_server

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

PROMPT = b"def main(argv):\n    "
CONTEXT_TOKENS = 512
"""Of the packaged target."""

TIMEOUT_S = 60.0
LIFETIME = common_pb2.StopConditions(max_tokens=400, ignore_eos=True)
"""So long that a stream does not end before somebody leaves it."""

Code = grpc.StatusCode
Request = coordinator_pb2.GenerateRequest


@dataclass(frozen=True, slots=True)
class Served:
    """A deployment, plain stubs of it, and what it says to a good request."""

    running: Deployment
    coordinator: coordinator_pb2_grpc.CoordinatorServiceAsyncStub
    verifier: verifier_pb2_grpc.VerifierServiceAsyncStub
    session_id: str
    """A session that has ended."""

    text: bytes
    """What it said."""


Call = Callable[[Served], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of bad input, and the answer to it."""

    name: str
    call: Call
    code: grpc.StatusCode
    message: str
    """Part of the status message."""

    reason: str | None
    """Of the ErrorInfo; None where gRPC itself refuses."""


def good() -> Request:
    """A request that nothing is wrong with."""
    return Request(text=PROMPT, stop=common_pb2.StopConditions(max_tokens=12))


async def said(stub: coordinator_pb2_grpc.CoordinatorServiceAsyncStub, request: Request) -> tuple[str, bytes]:
    """Session id and text of a generation."""
    responses = [response async for response in stub.Generate(request, timeout=TIMEOUT_S)]
    return responses[0].started.session_id, b"".join(response.chunk.text for response in responses)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Served]:
    """One verifier, one drafter without a model, one shard."""
    unlimited = [("grpc.max_send_message_length", -1)]
    async with (
        deployment(drafters=(NGRAM,)) as running,
        grpc.aio.insecure_channel(running.address, unlimited) as to_shard,
        grpc.aio.insecure_channel(running.verifiers[0].address) as to_verifier,
    ):
        shard = coordinator_pb2_grpc.CoordinatorServiceStub(to_shard)
        session_id, text = await said(shard, good())
        yield Served(running, shard, verifier_pb2_grpc.VerifierServiceStub(to_verifier), session_id, text)


def generate(**fields: object) -> Call:
    """Generate, with these fields of a good request changed."""

    async def call(served: Served) -> None:
        request = good()
        request.MergeFrom(Request(**fields))  # type: ignore[arg-type]
        await said(served.coordinator, request)

    return call


def sampled(**fields: float) -> Call:
    """Generate with these sampling parameters."""
    return generate(sampling=common_pb2.Sampling(**fields))  # type: ignore[arg-type]


def stopped(**fields: object) -> Call:
    """Generate with these stop conditions."""
    return generate(stop=common_pb2.StopConditions(**fields))  # type: ignore[arg-type]


def resume(session_id: str | None, offset: int = 0) -> Call:
    """Go on with a session; None: the one that has ended."""

    async def call(served: Served) -> None:
        place = coordinator_pb2.Resume(session_id=session_id or served.session_id, offset=offset)
        await said(served.coordinator, Request(resume=place))

    return call


def get(session_id: str) -> Call:
    """Ask for a session."""
    request = coordinator_pb2.GetSessionRequest(session_id=session_id)
    return lambda served: served.coordinator.GetSession(request, timeout=TIMEOUT_S)


def cancel(session_id: str) -> Call:
    """Cancel a session."""
    request = coordinator_pb2.CancelSessionRequest(session_id=session_id)
    return lambda served: served.coordinator.CancelSession(request, timeout=TIMEOUT_S)


def verify(*messages: VerifyOpen | VerifyRound) -> Call:
    """A stream to the verifier with these messages."""

    async def requests() -> AsyncIterator[verifier_pb2.VerifyRequest]:
        for message in messages:
            yield verify_request_to_proto(message, Fence())
        await asyncio.Event().wait()  # the verifier is to end it, not we

    async def call(served: Served) -> None:
        async for _ in served.verifier.Verify(requests(), timeout=TIMEOUT_S):
            pass

    return call


OPEN = VerifyOpen(
    session_id="bad-input",
    fence=Fence(),
    prompt_ids=(1, 2, 3),
    committed_ids=(),
    sampling=SamplingParams(),
    stop=StopConditions(max_tokens=8),
    noise_key=NoiseKey(bytes(16)),
    method=Method.EXACT,
)
CHAT = common_pb2.Conversation(messages=[common_pb2.ChatMessage(role="user", content="hello")])
NONSENSE, UNKNOWN, NOWHERE = "nonsense", f"s0-{'0' * 32}", f"s7-{'0' * 32}"
MIB = 1 << 20


def unknown_sessions(name: str, call: Callable[[str], Call]) -> Iterable[Row]:
    """The three ways in which a session can be unknown."""
    for what, session_id, message in (
        ("nonsense", NONSENSE, "not a session id"),
        ("unknown", UNKNOWN, "unknown here"),
        ("of no shard", NOWHERE, "no shard 7"),
    ):
        yield Row(f"{name}: session {what}", call(session_id), Code.NOT_FOUND, message, "UNKNOWN_SESSION")


ROWS = (
    Row("no prompt", lambda s: said(s.coordinator, Request()), Code.INVALID_ARGUMENT, "no prompt", "PROMPT_EMPTY"),
    Row("empty prompt", generate(text=b""), Code.INVALID_ARGUMENT, "the prompt is empty", "PROMPT_EMPTY"),
    Row("no prompt ids", generate(ids=common_pb2.TokenIds()), Code.INVALID_ARGUMENT, "empty", "PROMPT_EMPTY"),
    Row("over-long prompt", generate(text=b"x = 1\n" * 999), Code.INVALID_ARGUMENT, "only 512", "PROMPT_TOO_LONG"),
    Row("prompt over the byte limit", generate(text=b"x" * 5 * MIB), Code.INVALID_ARGUMENT, "bytes", "PROMPT_TOO_LONG"),
    Row(
        "prompt and max_tokens over the context",
        stopped(max_tokens=CONTEXT_TOKENS - 1),
        Code.INVALID_ARGUMENT,
        "exceed the model's context of 512",
        "PROMPT_TOO_LONG",
    ),
    Row(
        "max_tokens over the limit",
        stopped(max_tokens=CONTEXT_TOKENS + 1),
        Code.INVALID_ARGUMENT,
        "max_tokens must be in [1, 512]",
        "INVALID_REQUEST",
    ),
    Row("negative temperature", sampled(temperature=-1.0), Code.INVALID_ARGUMENT, "temperature", "INVALID_REQUEST"),
    Row("NaN temperature", sampled(temperature=math.nan), Code.INVALID_ARGUMENT, "temperature", "INVALID_REQUEST"),
    Row("top_p of 0", sampled(top_p=0.0), Code.INVALID_ARGUMENT, "top_p must be in (0, 1]", "INVALID_REQUEST"),
    Row("too many logprobs", sampled(logprobs=21), Code.INVALID_ARGUMENT, "logprobs", "INVALID_REQUEST"),
    Row("unknown model", generate(model="nobody"), Code.NOT_FOUND, "model 'nobody' is not served", "UNKNOWN_MODEL"),
    Row("unknown drafter", generate(drafter="nobody"), Code.NOT_FOUND, "no drafter is named", "UNKNOWN_MODEL"),
    Row("unknown method number", generate(method=99), Code.UNIMPLEMENTED, "method number 99", "UNSUPPORTED_METHOD"),
    Row(
        "method that is not offered",
        generate(method=common_pb2.METHOD_SLRS),
        Code.UNIMPLEMENTED,
        "method slrs relies on what drafters say",
        "UNSUPPORTED_METHOD",
    ),
    Row("draft limit", generate(max_draft_tokens=999), Code.INVALID_ARGUMENT, "max_draft_tokens", "INVALID_REQUEST"),
    Row("prompt not UTF-8", generate(text=b"a\xff"), Code.INVALID_ARGUMENT, "not UTF-8 at byte 1", "INVALID_TEXT"),
    Row("stop string not UTF-8", stopped(stop=[b"\xff"]), Code.INVALID_ARGUMENT, "is not UTF-8", "INVALID_TEXT"),
    Row("empty stop string", stopped(stop=[b""]), Code.INVALID_ARGUMENT, "stop string", "INVALID_REQUEST"),
    Row("too many stop strings", stopped(stop=[b"a"] * 17), Code.INVALID_ARGUMENT, "stop strings", "INVALID_REQUEST"),
    Row(
        "prompt id outside the vocabulary",
        generate(ids=common_pb2.TokenIds(ids=[1, 1 << 20])),
        Code.INVALID_ARGUMENT,
        "outside the vocabulary",
        "INVALID_TOKEN",
    ),
    Row("conversation", generate(conversation=CHAT), Code.UNIMPLEMENTED, "chat templates", "UNSUPPORTED"),
    Row("offset beyond the text", resume(None, 10_000), Code.INVALID_ARGUMENT, "offset 10000", "INVALID_REQUEST"),
    *unknown_sessions("resume", resume),
    *unknown_sessions("get", get),
    *unknown_sessions("cancel", cancel),
    Row("message over the limit", generate(text=b"x" * 33 * MIB), Code.RESOURCE_EXHAUSTED, "larger than max", None),
    Row("second Open", verify(OPEN, OPEN), Code.ALREADY_EXISTS, "open already", "ALREADY_OPEN"),
    Row(
        "base beyond the sequence",
        verify(OPEN, VerifyRound(1, TokenPrefix(5, 5), (1,))),
        Code.OUT_OF_RANGE,
        "starts after 5 tokens",
        "BASE_BEYOND_SEQUENCE",
    ),
    Row(
        "draft id outside the vocabulary",
        verify(OPEN, VerifyRound(1, TokenPrefix(), (1 << 20,))),
        Code.INVALID_ARGUMENT,
        "vocabulary",
        "INVALID_TOKEN",
    ),
)


def reason_of(error: grpc.aio.AioRpcError) -> str | None:
    """The reason in the status's ErrorInfo, if it has one."""
    info = error_details_pb2.ErrorInfo()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            details = status_pb2.Status.FromString(value).details
            return next((info.reason for detail in details if detail.Unpack(info)), None)
    return None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_bad_input_is_refused_and_harms_nobody(served: Served, row: Row) -> None:
    """Each kind is answered with its code, its words and its reason, and a good request is answered as before."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await row.call(served)
    error = refusal.value
    assert (error.code(), reason_of(error)) == (row.code, row.reason), error.details()
    assert row.message in (error.details() or "")
    assert (await said(served.coordinator, good()))[1] == served.text


async def test_a_client_that_vanishes_leaves_nothing_behind(served: Served) -> None:
    """Its session ends as cancelled, and sessions and KV blocks return to what they were."""
    async with grpc.aio.insecure_channel(served.running.address) as channel:
        stub = coordinator_pb2_grpc.CoordinatorServiceStub(channel)
        responses = aiter(stub.Generate(Request(text=PROMPT, stop=LIFETIME), timeout=TIMEOUT_S))
        session_id = (await anext(responses)).started.session_id
        assert (await anext(responses)).chunk.text
        live = served.running.shards[0].shard.find_live(session_id)
    assert live is not None
    await live.ended()
    assert live.record.finish_reason is FinishReason.CANCELLED
    await until_released(served.running)
    assert (await said(served.coordinator, good()))[1] == served.text


class ContradictoryDrafter(ScriptedDrafter):
    """A drafter that stays in its pool, and whose blocks have lengths that do not add up."""

    def __init__(self) -> None:
        super().__init__(self._contradict)
        self.num_asked = 0

    async def _contradict(self, context: Context) -> None:
        self.num_asked += 1
        fence = (await context.read()).fence
        opened = drafter_pb2.DraftOpened(drafter_digest=DRAFTER_INFO.digest, max_ahead_tokens=8)
        await context.write(drafter_pb2.DraftResponse(fence=fence, opened=opened))
        block = drafter_pb2.Block(
            start=common_pb2.TextPrefix(length=0, hash=1),
            items=[common_pb2.Item(text=b"abc")],
            token_byte_lengths=[1, 1],
        )
        await context.write(drafter_pb2.DraftResponse(fence=fence, block=block))
        while await context.read() is not grpc.aio.EOF:
            pass

    async def WatchDrafter(
        self, request: drafter_pb2.WatchDrafterRequest, context: Context
    ) -> AsyncIterator[drafter_pb2.WatchDrafterResponse]:
        """One report, and no end."""
        del request, context
        yield drafter_pb2.WatchDrafterResponse(load=load_to_proto(LoadReport(max_sessions=4)))
        await asyncio.Event().wait()


async def test_a_drafter_that_contradicts_itself_changes_nothing(served: Served) -> None:
    """The text is that of the target alone, and the ledger counts one drafter failure: it is not asked again."""
    drafter, verifier = ContradictoryDrafter(), served.running.verifiers[0].address
    options = GenerateOptions(max_tokens=300, ignore_eos=True, method="off")
    async with running_server(drafter.register, DRAFTER_SERVICE) as server:
        config = replace(PATIENT, verifiers=(verifier,), drafters=(server.address,))
        async with coordinator.running(config) as shard, AsyncClient(shard.address) as client:
            await until_ready(shard, 2)
            alone = await client.generate(PROMPT, options)
            drafted = await client.generate(PROMPT, replace(options, method="exact"))
    assert drafted.data == alone.data
    assert (drafted.ledger.drafter_failures, drafter.num_asked) == (1, 1)
    assert not any(token.drafted for token in drafted.tokens)
