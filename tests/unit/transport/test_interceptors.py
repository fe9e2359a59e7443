"""The aspects of a call, on all four kinds and both styles of handlers."""

# ruff: noqa: ARG001 (handlers have gRPC's signature, whether they need all of it or not)

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs
from structlog.typing import EventDict

from draftmesh.core.errors import ExhaustedError, FencedError
from draftmesh.telemetry.metrics import RpcMetrics
from draftmesh.telemetry.tracing import trace_metadata
from draftmesh.transport.channels import open_channel
from draftmesh.transport.interceptors import (
    Aspect,
    AspectInterceptor,
    OpenCalls,
    RpcCall,
    is_observer,
    log_calls,
    map_errors,
    measure_calls,
    trace_calls,
)
from draftmesh.transport.status import error_of
from draftmesh.v1.common_pb2 import TokenIds
from tests.helpers.servers import TOY_SERVICE, Context, ToyClient, toy_service

KINDS = [
    "unary_unary",
    "unary_stream, generator",
    "unary_stream, writer",
    "stream_unary",
    "stream_stream, generator",
    "stream_stream, writer",
]


def behaviour_of(kind: str, act: Callable[[], object]) -> dict[str, Callable[..., Any]]:
    """A handler of a kind and style that answers what it got, and calls ``act`` before its end."""

    async def unary(request: TokenIds, context: Context) -> TokenIds:
        act()
        return request

    async def generate(request: TokenIds, context: Context) -> AsyncIterator[TokenIds]:
        yield request
        act()

    async def write(request: TokenIds, context: Context) -> None:
        await context.write(request)
        act()

    async def collect(requests: AsyncIterator[TokenIds], context: Context) -> TokenIds:
        ids = [token async for request in requests for token in request.ids]
        act()
        return TokenIds(ids=ids)

    async def echo(requests: AsyncIterator[TokenIds], context: Context) -> AsyncIterator[TokenIds]:
        async for request in requests:
            yield request
        act()

    async def read_write(_: object, context: Context) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(request)
        act()

    handlers = (
        ("UnaryUnary", unary),
        ("UnaryStream", generate),
        ("UnaryStream", write),
        ("StreamUnary", collect),
        ("StreamStream", echo),
        ("StreamStream", read_write),
    )
    name, handler = handlers[KINDS.index(kind)]
    return {name: handler}


async def call(client: ToyClient, kind: str, **options: Any) -> list[int]:  # noqa: ANN401
    """Call the method of a kind with one message of two ids; the ids of the answer."""
    request = TokenIds(ids=[1, 2])
    if kind == "unary_unary":
        return list((await client.unary_unary(request, **options)).ids)
    if kind == "stream_unary":
        return list((await client.stream_unary(iter([request]), **options)).ids)
    if kind.startswith("unary_stream"):
        return [token async for answer in client.unary_stream(request, **options) for token in answer.ids]
    return [token async for answer in client.stream_stream(iter([request]), **options) for token in answer.ids]


@asynccontextmanager
async def toy(behaviours: dict[str, Callable[..., Any]], *aspects: Aspect) -> AsyncIterator[ToyClient]:
    """A toy server with these aspects alone, the first outermost, and a client of it."""
    server = grpc.aio.server(interceptors=[AspectInterceptor(aspect) for aspect in aspects])
    toy_service(**behaviours)(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            yield ToyClient(channel)
    finally:
        await server.stop(None)


def raising(error: BaseException) -> Callable[[], object]:
    """An act that raises."""

    def act() -> None:
        raise error

    return act


def nothing() -> None:
    """An act that does nothing."""


async def failure(behaviours: dict[str, Callable[..., Any]], kind: str) -> grpc.aio.AioRpcError:
    """What the client gets from a failing handler under the error aspect."""
    async with toy(behaviours, map_errors) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(client, kind)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
async def test_answers_pass_through_all_aspects(kind: str) -> None:
    """Two aspects around a handler of any kind change nothing of what it says."""
    async with toy(behaviour_of(kind, nothing), OpenCalls().aspect, map_errors) as client:
        assert await call(client, kind) == [1, 2]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_raised_error_reaches_the_client_as_its_class(kind: str) -> None:
    """The status of a DraftmeshError carries its reason and message, for every kind."""
    error = error_of(await failure(behaviour_of(kind, raising(FencedError("newer"))), kind))
    assert (FencedError, "newer") == (type(error), str(error))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_bug_reaches_the_client_without_its_text(kind: str) -> None:
    """An unknown exception is INTERNAL, and the log names the id that the client sees."""
    with capture_logs() as logs:
        error = await failure(behaviour_of(kind, raising(ValueError("/secret/path"))), kind)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error.details())
    assert [error.details()] == [line["shown"] for line in logs if line["log_level"] == "error"]


async def test_the_log_of_a_bug_has_its_stack() -> None:
    """The exception itself goes to the server's log."""
    bug = ValueError("why")
    with capture_logs() as logs:
        await failure(behaviour_of("unary_unary", raising(bug)), "unary_unary")
    assert [bug] == [line["exc_info"] for line in logs if "exc_info" in line]


async def test_a_retry_hint_reaches_the_client() -> None:
    """RetryInfo crosses a real connection."""
    behaviours = behaviour_of("unary_unary", raising(ExhaustedError("full", retry_after_ms=40)))
    error = error_of(await failure(behaviours, "unary_unary"))
    assert isinstance(error, ExhaustedError)
    assert error.retry_after_ms == 40


async def test_an_error_of_a_task_group_reaches_the_client() -> None:
    """Handlers may use task groups."""
    group = ExceptionGroup("tasks", [FencedError("newer")])
    error = error_of(await failure(behaviour_of("unary_unary", raising(group)), "unary_unary"))
    assert type(error) is FencedError


async def test_a_long_message_still_reaches_the_client() -> None:
    """A message beyond what trailers hold is cut, not lost."""
    behaviours = behaviour_of("unary_unary", raising(FencedError("ä" * 20_000)))
    assert type(error_of(await failure(behaviours, "unary_unary"))) is FencedError


async def test_a_cancellation_from_inside_does_not_leave_the_client_waiting() -> None:
    """If something that the handler awaits was cancelled, the call ends CANCELLED."""
    error = await failure(behaviour_of("unary_unary", raising(asyncio.CancelledError())), "unary_unary")
    assert error.code() is grpc.StatusCode.CANCELLED


async def test_garbage_is_an_invalid_argument() -> None:
    """A message that protobuf cannot parse is the client's fault."""
    async with toy(behaviour_of("stream_stream, writer", nothing), map_errors) as client:
        raw: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = client.channel.stream_stream(
            f"/{TOY_SERVICE}/StreamStream"
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(raw(iter([b"\xff\xff\xff"]))))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_abort_of_the_handler_itself_stays() -> None:
    """context.abort is not mapped again."""

    async def unary(request: TokenIds, context: Context) -> TokenIds:
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")

    error = await failure({"UnaryUnary": unary}, "unary_unary")
    assert (error.code(), error.details()) == (grpc.StatusCode.PERMISSION_DENIED, "no")


async def test_an_unknown_method_is_unimplemented() -> None:
    """Without a handler there is nothing to wrap."""
    error = await failure({}, "unary_unary")
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_generator_is_closed_inside_its_call() -> None:
    """Its finally runs before the call ends, also when the cancellation finds it between two answers."""
    order: list[str] = []
    ended = asyncio.Event()

    async def flood(request: TokenIds, context: Context) -> AsyncIterator[TokenIds]:
        try:
            while True:
                yield TokenIds(ids=range(10_000))  # flow control soon holds the write
        finally:
            order.append("generator closed")

    @asynccontextmanager
    async def note_end(call: RpcCall) -> AsyncIterator[None]:
        try:
            yield
        finally:
            order.append("call ended")
            ended.set()

    async with toy({"UnaryStream": flood}, note_end, map_errors) as client:
        answers = client.unary_stream(TokenIds())
        await answers.read()
        answers.cancel()
        await ended.wait()
    assert order == ["generator closed", "call ended"]


async def test_cancelling_a_call_is_no_error() -> None:
    """The handler sees CancelledError, and nothing is logged as a bug."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def wait(request: TokenIds, context: Context) -> TokenIds:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return TokenIds()

    with capture_logs() as logs:
        async with toy({"UnaryUnary": wait}, map_errors) as client:
            waiting = client.unary_unary(TokenIds())
            await started.wait()
            waiting.cancel()
            await ended.wait()
    assert logs == []


class Traces:
    """A tracer whose finished spans are kept."""

    def __init__(self) -> None:
        """No spans yet."""
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self._provider.get_tracer("test")

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Finished spans."""
        return self._exporter.get_finished_spans()


@pytest.mark.parametrize("kind", KINDS)
async def test_every_call_has_a_span_with_stable_names(kind: str) -> None:
    """The server's span has the stable attribute names and the full method, for every kind."""
    traces = Traces()
    async with toy(behaviour_of(kind, nothing), trace_calls(traces.tracer), map_errors) as client:
        await call(client, kind)
    (span,) = traces.spans
    method = next(iter(behaviour_of(kind, nothing)))
    expected = {
        "rpc.system.name": "grpc",
        "rpc.method": f"{TOY_SERVICE}/{method}",
        "rpc.response.status_code": "OK",
    }
    assert (expected, trace.SpanKind.SERVER) == (dict(span.attributes or {}), span.kind)


@pytest.mark.parametrize(
    ("error", "code", "is_fault"),
    [(FencedError("x"), "ABORTED", False), (ValueError("x"), "INTERNAL", True)],
)
async def test_the_span_of_a_failed_call(error: Exception, code: str, is_fault: bool) -> None:
    """The code is on the span; only codes that are the server's fault make it an error."""
    traces = Traces()
    behaviours = behaviour_of("stream_stream, generator", raising(error))
    async with toy(behaviours, trace_calls(traces.tracer), map_errors) as client:
        with pytest.raises(grpc.aio.AioRpcError):
            await call(client, "stream_stream, generator")
    (span,) = traces.spans
    assert span.attributes is not None
    assert (code, is_fault) == (
        span.attributes["rpc.response.status_code"],
        span.status.status_code is trace.StatusCode.ERROR,
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_the_callers_span_is_the_parent(kind: str) -> None:
    """W3C context in the metadata, and the handler's own spans are below the server's."""
    traces = Traces()

    def act() -> None:
        traces.tracer.start_span("inner").end()

    async with toy(behaviour_of(kind, act), trace_calls(traces.tracer), map_errors) as client:
        with traces.tracer.start_as_current_span("client"):
            await call(client, kind, metadata=trace_metadata())
    parents = {span.name.rpartition("/")[2]: span.parent and span.parent.span_id for span in traces.spans}
    ids = {span.name.rpartition("/")[2]: span.context.span_id for span in traces.spans if span.context}
    server = next(iter(behaviour_of(kind, act)))
    assert {"client": None, server: ids["client"], "inner": ids[server]} == parents


@pytest.mark.parametrize("kind", KINDS)
async def test_every_call_is_measured(kind: str) -> None:
    """One point of rpc.server.call.duration, with method and code."""
    reader = InMemoryMetricReader()
    metrics = RpcMetrics.create(MeterProvider([reader]).get_meter("test"))
    async with toy(behaviour_of(kind, nothing), measure_calls(metrics), map_errors) as client:
        await call(client, kind)
    data = reader.get_metrics_data()
    assert data is not None
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    (point,) = metric.data.data_points
    method = next(iter(behaviour_of(kind, nothing)))
    expected = {"rpc.system.name": "grpc", "rpc.method": f"{TOY_SERVICE}/{method}", "rpc.response.status_code": "OK"}
    assert ("rpc.server.call.duration", "s", expected) == (metric.name, metric.unit, dict(point.attributes or {}))


@pytest.fixture
def log_lines() -> Iterator[list[EventDict]]:
    """Log lines with their context variables merged in, as the real configuration does."""
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines


async def test_one_line_a_call(log_lines: list[EventDict]) -> None:
    """The line has method, code, duration and peer, and what the handler bound."""

    def act() -> None:
        structlog.contextvars.bind_contextvars(session_id="s")

    async with toy(behaviour_of("stream_stream, generator", act), log_calls, map_errors) as client:
        await call(client, "stream_stream, generator")
    (line,) = log_lines
    expected = {"event": "rpc", "rpc_method": f"{TOY_SERVICE}/StreamStream", "code": "OK", "session_id": "s"}
    assert expected == {key: line[key] for key in expected}
    assert {"duration_ms", "peer"} <= line.keys()


async def test_the_line_of_a_cancelled_call(log_lines: list[EventDict]) -> None:
    """A call that its client cancels ends CANCELLED."""
    started, ended = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def signal_end(call: RpcCall) -> AsyncIterator[None]:
        try:
            yield
        finally:
            ended.set()

    async def wait(request: TokenIds, context: Context) -> TokenIds:
        started.set()
        await asyncio.Event().wait()
        return TokenIds()

    async with toy({"UnaryUnary": wait}, signal_end, log_calls, map_errors) as client:
        waiting = client.unary_unary(TokenIds())
        await started.wait()
        waiting.cancel()
        await ended.wait()
    assert [line["code"] for line in log_lines] == ["CANCELLED"]


async def test_open_calls_counts_calls_that_work() -> None:
    """The count is 1 inside a call and 0 after it."""
    open_calls = OpenCalls()
    counts: list[int] = []
    behaviours = behaviour_of("unary_unary", lambda: counts.append(open_calls.count))
    async with toy(behaviours, open_calls.aspect) as client:
        await call(client, "unary_unary")
    assert (counts, open_calls.count) == ([1], 0)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("draftmesh.v1.DrafterService/Draft", False),
        ("draftmesh.v1.DrafterService/WatchDrafter", True),
        ("grpc.health.v1.Health/Check", True),
        ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", True),
    ],
)
def test_observers(method: str, expected: bool) -> None:
    """Health, reflection and Watch streams only look."""
    assert is_observer(method) is expected
