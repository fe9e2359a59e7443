"""Errors on the wire: one gRPC code for each branch of the exception tree, and the same class again at the client.

A status carries a ``google.rpc.Status`` with an ``ErrorInfo`` of domain ``draftmesh``, whose reason names the exception
class, and a ``RetryInfo`` where there is a hint (https://google.aip.dev/193). A client picks the class by the reason;
a status without our domain comes from gRPC itself, a proxy or another server, and is read by its code.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from draftmesh.core import errors

DOMAIN = "draftmesh"
MAX_MESSAGE_BYTES = 1500
"""A message travels in the trailers twice, once with each byte beyond ASCII written as three; above 8 KiB of trailers
gRPC begins to drop them."""

_CODES: dict[type[errors.DraftmeshError], grpc.StatusCode] = {
    errors.InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.UnsupportedError: grpc.StatusCode.UNIMPLEMENTED,
    errors.StateError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.AlreadyOpenError: grpc.StatusCode.ALREADY_EXISTS,
    errors.FencedError: grpc.StatusCode.ABORTED,
    errors.BaseBeyondSequenceError: grpc.StatusCode.OUT_OF_RANGE,
    errors.ExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.CancelledByPeerError: grpc.StatusCode.CANCELLED,
    errors.DataLossError: grpc.StatusCode.DATA_LOSS,
    errors.InternalError: grpc.StatusCode.INTERNAL,
}

_FOREIGN: dict[grpc.StatusCode, type[errors.DraftmeshError]] = {
    **{code: error for error, code in _CODES.items()},
    grpc.StatusCode.UNAUTHENTICATED: errors.InvalidRequestError,
    grpc.StatusCode.PERMISSION_DENIED: errors.InvalidRequestError,
    # Our own servers send these with details; without them they tell of a connection that broke (RST_STREAM).
    grpc.StatusCode.INTERNAL: errors.UnavailableError,
    grpc.StatusCode.UNKNOWN: errors.UnavailableError,
}


def _tree(root: type[errors.DraftmeshError]) -> Iterator[type[errors.DraftmeshError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


_REASONS = {error("").reason: error for error in _tree(errors.DraftmeshError) if error.__module__ == errors.__name__}


def code_of(error: errors.DraftmeshError) -> grpc.StatusCode:
    """The code of the nearest class in the tree that has one; INTERNAL if none has."""
    return next((_CODES[cls] for cls in type(error).__mro__ if cls in _CODES), grpc.StatusCode.INTERNAL)


def status_of(error: errors.DraftmeshError, metadata: Mapping[str, str] | None = None) -> status_pb2.Status:
    """The rich status of an error; ``metadata`` goes into its ErrorInfo."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata or {})
    details: list[Any] = [info]
    if isinstance(error, errors.ExhaustedError) and error.retry_after_ms is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(error.retry_after_ms)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    code: int = code_of(error).value[0]
    return status_pb2.Status(code=code, message=_cut(str(error)), details=map(_pack, details))


def grpc_status_of(error: errors.DraftmeshError, metadata: Mapping[str, str] | None = None) -> grpc.Status:
    """What ``context.abort_with_status`` takes."""
    status: grpc.Status = rpc_status.to_status(status_of(error, metadata))
    return status


def wire_error(error: BaseException) -> errors.DraftmeshError:
    """What a client may know of an exception that ended a handler.

    A :class:`DraftmeshError` is shown as it is, also out of an exception group. Anything else is a bug: its text may
    hold paths or users' data, so the client gets an id by which the server's log names it.
    """
    known = next((leaf for leaf in _leaves(error) if isinstance(leaf, errors.DraftmeshError)), None)
    if known is not None and not isinstance(known, errors.ConfigError):
        return known
    return errors.InternalError(f"internal error {secrets.token_hex(4)}")


def error_of(error: grpc.aio.AioRpcError, peer: str = "") -> errors.DraftmeshError:
    """The exception that a failed call stands for; ``peer`` names the other side in messages of foreign origin."""
    status = _rich_status(error)
    info = _detail(status, error_details_pb2.ErrorInfo)
    message = error.details() or ""
    if info is not None and info.domain == DOMAIN and info.reason in _REASONS:
        return _build(_REASONS[info.reason], message, status)
    foreign = _FOREIGN.get(error.code(), errors.InternalError)
    return _build(foreign, f"{peer or 'peer'}: {error.code().name}: {message}", status)


@contextmanager
def translated_errors(peer: str) -> Iterator[None]:
    """Turns whatever a gRPC call raises into the exception tree; the one place where that happens.

    ``asyncio.CancelledError`` passes: it is the caller's own.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise error_of(error, peer) from error
    except (grpc.aio.BaseError, asyncio.InvalidStateError) as error:
        raise errors.UnavailableError(f"{peer}: the call has ended") from error


def _cut(message: str) -> str:
    return message.encode(errors="replace")[:MAX_MESSAGE_BYTES].decode(errors="ignore")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _build(cls: type[errors.DraftmeshError], message: str, status: status_pb2.Status | None) -> errors.DraftmeshError:
    if issubclass(cls, errors.ExhaustedError):
        retry = _detail(status, error_details_pb2.RetryInfo)
        return cls(message, None if retry is None else retry.retry_delay.ToMilliseconds())
    return cls(message)


def _rich_status(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    try:
        return rpc_status.from_call(error)
    except (ValueError, TypeError):  # the details contradict the code, or there is no metadata at all
        return None


def _detail(status: status_pb2.Status | None, kind: Any) -> Any:  # noqa: ANN401 (google.rpc is untyped)
    for detail in status.details if status is not None else ():
        if detail.Is(kind.DESCRIPTOR):
            message = kind()
            return message if detail.Unpack(message) else None
    return None


def _pack(message: Any) -> any_pb2.Any:  # noqa: ANN401 (google.rpc is untyped)
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
