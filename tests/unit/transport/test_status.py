"""Errors to statuses and back, without a server."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc_status import rpc_status

from draftmesh.core import errors
from draftmesh.transport.status import code_of, error_of, grpc_status_of, status_of, translated_errors, wire_error


def tree(root: type[errors.DraftmeshError]) -> list[type[errors.DraftmeshError]]:
    """The classes below ``root``, as core defines them."""
    below = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return below + [grandchild for child in below for grandchild in tree(child)]


CLASSES = tree(errors.DraftmeshError)


def foreign(code: grpc.StatusCode, details: str = "why", *metadata: tuple[str, bytes]) -> grpc.aio.AioRpcError:
    """An error as a client sees it."""
    empty = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, empty, grpc.aio.Metadata(*metadata), details)


def sent(error: errors.DraftmeshError) -> grpc.aio.AioRpcError:
    """What a client gets when a server raises ``error``."""
    status = grpc_status_of(error)
    return foreign(status.code, status.details, *status.trailing_metadata)  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_comes_back_as_its_own_class(cls: type[errors.DraftmeshError]) -> None:
    """The reason names the class, whatever its code."""
    error = error_of(sent(cls("what happened")))
    assert (cls, "what happened") == (type(error), str(error))


@pytest.mark.parametrize(
    ("cls", "code"),
    [
        (errors.PromptTooLongError, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.UnknownSessionError, grpc.StatusCode.NOT_FOUND),
        (errors.UnsupportedMethodError, grpc.StatusCode.UNIMPLEMENTED),
        (errors.StateError, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.AlreadyOpenError, grpc.StatusCode.ALREADY_EXISTS),
        (errors.FencedError, grpc.StatusCode.ABORTED),
        (errors.BaseBeyondSequenceError, grpc.StatusCode.OUT_OF_RANGE),
        (errors.ExhaustedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.UnavailableError, grpc.StatusCode.UNAVAILABLE),
        (errors.DeadlineError, grpc.StatusCode.DEADLINE_EXCEEDED),
        (errors.CancelledByPeerError, grpc.StatusCode.CANCELLED),
        (errors.DataLossError, grpc.StatusCode.DATA_LOSS),
        (errors.InternalError, grpc.StatusCode.INTERNAL),
        (errors.DraftmeshError, grpc.StatusCode.INTERNAL),
    ],
)
def test_the_codes_of_the_tree(cls: type[errors.DraftmeshError], code: grpc.StatusCode) -> None:
    """The table in core.errors is the contract."""
    assert code_of(cls("")) == code


def test_a_retry_hint_travels() -> None:
    """retry_after_ms crosses as RetryInfo."""
    error = error_of(sent(errors.ExhaustedError("full", retry_after_ms=1500)))
    assert isinstance(error, errors.ExhaustedError)
    assert error.retry_after_ms == 1500


def test_no_retry_hint_stays_none() -> None:
    """Unknown is not 0."""
    error = error_of(sent(errors.ExhaustedError("full")))
    assert isinstance(error, errors.ExhaustedError)
    assert error.retry_after_ms is None


def test_the_error_info() -> None:
    """Foreign clients find domain, reason and metadata where AIP-193 puts them."""
    status = status_of(errors.FencedError("x"), {"rpc_method": "m"})
    text = str(status.details[0])
    assert all(word in text for word in ("google.rpc.ErrorInfo", "draftmesh", "FENCED", "rpc_method"))


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidRequestError),
        (grpc.StatusCode.NOT_FOUND, errors.NotFoundError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ExhaustedError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineError),
        (grpc.StatusCode.UNAVAILABLE, errors.UnavailableError),
        (grpc.StatusCode.INTERNAL, errors.UnavailableError),
        (grpc.StatusCode.UNKNOWN, errors.UnavailableError),
        (grpc.StatusCode.PERMISSION_DENIED, errors.InvalidRequestError),
    ],
)
def test_a_foreign_status_is_read_by_its_code(code: grpc.StatusCode, cls: type[errors.DraftmeshError]) -> None:
    """Without our details the code decides, and the message names peer and code."""
    error = error_of(foreign(code), "peer a:1")
    assert (cls, f"peer a:1: {code.name}: why") == (type(error), str(error))


def test_a_reason_of_another_domain_is_not_ours() -> None:
    """The domain guards against reasons that only look like ours."""
    status = status_of(errors.FencedError("x"))
    status.details[0].value = status.details[0].value.replace(b"draftmesh", b"elsewhere")
    error = error_of(foreign(grpc.StatusCode.ABORTED, "x", ("grpc-status-details-bin", status.SerializeToString())))
    assert str(error) == "peer: ABORTED: x"


def test_details_that_contradict_the_code_are_ignored() -> None:
    """A status whose details speak of another code is read by its code."""
    details = grpc_status_of(errors.FencedError("x")).trailing_metadata
    error = error_of(foreign(grpc.StatusCode.NOT_FOUND, "x", *details))  # type: ignore[arg-type]
    assert type(error) is errors.NotFoundError


def test_long_messages_are_cut() -> None:
    """Trailers hold a few KiB; a longer status would be lost as a whole. The cut leaves whole characters."""
    assert status_of(errors.InternalError("€" * 9000)).message == "€" * 500


def test_a_bug_shows_the_client_nothing_but_an_id() -> None:
    """The text of an unknown exception stays on the server."""
    error = wire_error(ValueError("/home/someone/secret"))
    assert isinstance(error, errors.InternalError)
    assert "secret" not in str(error)


def test_config_errors_are_never_on_the_wire() -> None:
    """They are start-up's; a client sees a bug."""
    assert type(wire_error(errors.ConfigError("path"))) is errors.InternalError


def test_a_known_error_is_found_in_nested_groups() -> None:
    """Task groups wrap what their tasks raise."""
    fenced = errors.FencedError("x")
    group = BaseExceptionGroup("", [ValueError(), ExceptionGroup("", [fenced])])
    assert wire_error(group) is fenced


@pytest.mark.parametrize(
    "error", [asyncio.InvalidStateError("done"), grpc.aio.UsageError("done"), grpc.aio.InternalError("done")]
)
def test_grpcs_own_errors_mean_that_the_call_is_over(error: Exception) -> None:
    """A call that cannot be used any more is unavailable."""
    with pytest.raises(errors.UnavailableError, match="the call has ended"), translated_errors("peer"):
        raise error


def test_cancellation_passes() -> None:
    """CancelledError is the caller's own."""
    with pytest.raises(asyncio.CancelledError), translated_errors("peer"):
        raise asyncio.CancelledError


def test_the_details_are_googles() -> None:
    """grpc-status reads what we send."""
    assert rpc_status.from_call(sent(errors.DataLossError("gone"))).message == "gone"
