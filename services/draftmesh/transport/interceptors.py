"""What every call of every server goes through: tracing, metrics, a log line, and the mapping of errors to statuses.

Each concern is an *aspect*: an async context manager around one call. :class:`AspectInterceptor` puts it around any
handler, of all four kinds and both styles. An async generator becomes a handler that writes, so that the generator is
closed, and what it holds freed, at once when a call is cancelled in the middle of a write; grpc.aio itself would leave
that to the garbage collector.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from draftmesh.core.errors import CancelledByPeerError, DraftmeshError, InternalError, InvalidRequestError
from draftmesh.telemetry import tracing
from draftmesh.telemetry.metrics import RpcMetrics, meter
from draftmesh.transport.status import grpc_status_of, wire_error

_LOG = structlog.get_logger("draftmesh.rpc")
_SERVER_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Codes that make a server's span an error (OpenTelemetry semantic conventions for gRPC)."""

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class RpcCall:
    """One call as its aspects see it."""

    method: str
    """Full name without the leading slash: ``draftmesh.v1.DrafterService/Draft``."""

    context: Context

    def code(self, error: BaseException | None) -> grpc.StatusCode:
        """The code that the call has ended with, given what its handler raised."""
        if isinstance(error, asyncio.CancelledError):
            return self._cancelled()
        code: grpc.StatusCode | None = self.context.code()
        if code is not None or error is None:
            return code or grpc.StatusCode.OK
        # gRPC's own errors without a code come from writing to a client that is gone.
        return grpc.StatusCode.CANCELLED if isinstance(error, grpc.aio.BaseError) else grpc.StatusCode.UNKNOWN

    def _cancelled(self) -> grpc.StatusCode:
        remaining: float | None = self.context.time_remaining()
        late = remaining is not None and remaining <= 0
        return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED


Aspect = Callable[[RpcCall], AbstractAsyncContextManager[None]]


def is_observer(method: str) -> bool:
    """Whether a call only looks: health, reflection and ``Watch`` streams, which last as long as the server does."""
    service, _, name = method.rpartition("/")
    return name.startswith("Watch") or service.startswith("grpc.")


class AspectInterceptor(grpc.aio.ServerInterceptor):
    """Puts one aspect around every call. Handlers that are not async pass as they are (gRPC runs them in threads)."""

    def __init__(self, aspect: Aspect) -> None:
        """Serve with ``aspect``; of several interceptors the first is outermost."""
        self._aspect = aspect

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Find the handler and wrap it."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        return _wrapped(handler, self._aspect, handler_call_details.method.lstrip("/"))


def _wrapped(handler: grpc.RpcMethodHandler[Any, Any], aspect: Aspect, method: str) -> grpc.RpcMethodHandler[Any, Any]:
    behaviour, factory = _behaviour_of(handler)
    if inspect.isasyncgenfunction(behaviour):
        behaviour = _writing(behaviour)
    elif not inspect.iscoroutinefunction(behaviour):
        return handler
    around = _around(behaviour, aspect, method)
    wrapped: grpc.RpcMethodHandler[Any, Any] = factory(
        around, handler.request_deserializer, handler.response_serializer
    )
    return wrapped


def _behaviour_of(handler: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:  # noqa: ANN401 (no public type has these)
    match handler.request_streaming, handler.response_streaming:
        case False, False:
            return handler.unary_unary, grpc.unary_unary_rpc_method_handler
        case False, True:
            return handler.unary_stream, grpc.unary_stream_rpc_method_handler
        case True, False:
            return handler.stream_unary, grpc.stream_unary_rpc_method_handler
        case _:
            return handler.stream_stream, grpc.stream_stream_rpc_method_handler


def _writing(generator: Callable[..., Any]) -> Callable[..., Awaitable[None]]:
    async def handle(request: object, context: Context) -> None:
        async with aclosing(generator(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return handle


def _around(behaviour: Callable[..., Awaitable[Any]], aspect: Aspect, method: str) -> Callable[..., Awaitable[Any]]:
    async def handle(request: object, context: Context) -> object:
        async with aspect(RpcCall(method, context)):
            return await behaviour(request, context)

    return handle


@asynccontextmanager
async def map_errors(call: RpcCall) -> AsyncIterator[None]:
    """Innermost: a raised exception becomes a status with details, and a bug is logged with its stack.

    ``CancelledError`` passes when it is the call that was cancelled. Raised by anything else inside the handler it
    would leave the client without an answer for ever, as grpc.aio sends no status for it: the call is aborted.
    """
    try:
        yield
    except grpc.aio.BaseError:
        raise  # aborted already, or gRPC's own word that the call is over
    except asyncio.CancelledError as error:
        if _is_call_cancelled():
            raise
        await _abort(call, error, CancelledByPeerError("the work behind this call was cancelled"))
    except DecodeError as error:
        await _abort(call, error, InvalidRequestError("a message could not be parsed"))
    except Exception as error:
        await _abort(call, error, wire_error(error))


def _is_call_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _abort(call: RpcCall, error: BaseException, shown: DraftmeshError) -> None:
    if isinstance(shown, InternalError):
        _LOG.error("call failed by a bug", rpc_method=call.method, shown=str(shown), exc_info=error)
    await call.context.abort_with_status(grpc_status_of(shown, {"rpc_method": call.method}))


def trace_calls(tracer: Tracer) -> Aspect:
    """One server span a call, under the W3C trace context of its metadata."""

    @asynccontextmanager
    async def trace(call: RpcCall) -> AsyncIterator[None]:
        parent = tracing.context_of_metadata(call.context.invocation_metadata() or ())
        attributes = {tracing.RPC_SYSTEM_NAME: "grpc", tracing.RPC_METHOD: call.method}
        with (
            tracer.start_as_current_span(
                call.method, parent, SpanKind.SERVER, attributes, record_exception=False, set_status_on_exception=False
            ) as span,
            _on_end(call, partial(_end_span, span)),
        ):
            yield

    return trace


def measure_calls(metrics: RpcMetrics) -> Aspect:
    """The duration of every call, by method and code."""

    @asynccontextmanager
    async def measure(call: RpcCall) -> AsyncIterator[None]:
        started = time.perf_counter()

        def record(code: grpc.StatusCode) -> None:
            attributes = {tracing.RPC_SYSTEM_NAME: "grpc", tracing.RPC_METHOD: call.method}
            seconds = time.perf_counter() - started
            metrics.server_call_duration.record(seconds, {**attributes, tracing.RPC_STATUS_CODE: code.name})

        with _on_end(call, record):
            yield

    return measure


@asynccontextmanager
async def log_calls(call: RpcCall) -> AsyncIterator[None]:
    """One line a call when it ends; what the handler binds to structlog's context variables is part of it."""
    started = time.perf_counter()

    def log(code: grpc.StatusCode) -> None:
        level = logging.DEBUG if is_observer(call.method) else logging.INFO
        milliseconds = round(1000 * (time.perf_counter() - started), 3)
        _LOG.log(level, "rpc", code=code.name, duration_ms=milliseconds, peer=call.context.peer())

    with structlog.contextvars.bound_contextvars(rpc_method=call.method), _on_end(call, log):
        yield


class OpenCalls:
    """Counts calls that do work, so that a draining server need not wait when there is none."""

    def __init__(self) -> None:
        """Start with none."""
        self.count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def wait_until_none(self) -> None:
        """Wait until no call is open but those that only look."""
        await self._idle.wait()

    @asynccontextmanager
    async def aspect(self, call: RpcCall) -> AsyncIterator[None]:
        """Count a call for as long as it is open."""
        if is_observer(call.method):
            yield
            return
        self.count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.count -= 1
            if self.count == 0:
                self._idle.set()


def server_interceptors(open_calls: OpenCalls) -> list[grpc.aio.ServerInterceptor]:
    """All aspects in order, outermost first."""
    measure = measure_calls(RpcMetrics.create(meter()))
    aspects = (open_calls.aspect, trace_calls(tracing.tracer()), measure, log_calls, map_errors)
    return [AspectInterceptor(aspect) for aspect in aspects]


@contextmanager
def _on_end(call: RpcCall, finish: Callable[[grpc.StatusCode], None]) -> Iterator[None]:
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        finish(call.code(error))


def _end_span(span: Span, code: grpc.StatusCode) -> None:
    span.set_attribute(tracing.RPC_STATUS_CODE, code.name)
    if code in _SERVER_FAULTS:
        span.set_attribute(tracing.ERROR_TYPE, code.name)
        span.set_status(Status(StatusCode.ERROR))
