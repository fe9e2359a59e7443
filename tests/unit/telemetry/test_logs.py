"""Log lines as an operator sees them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from draftmesh.core.errors import ConfigError
from draftmesh.telemetry.logs import configure_logging


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Undo what configure_logging does to the process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)


def only_line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The one JSON line on stdout."""
    (line,) = capsys.readouterr().out.splitlines()
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_json_lines_have_event_level_time_and_context(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, with what was bound."""
    configure_logging("json")
    with structlog.contextvars.bound_contextvars(session_id="s"):
        structlog.get_logger().info("hello", number=1)
    line = only_line(capsys)
    timestamp = str(line.pop("timestamp"))
    assert line == {"event": "hello", "level": "info", "number": 1, "session_id": "s"}
    assert timestamp.endswith("Z")


def test_lines_name_the_current_span(capsys: pytest.CaptureFixture[str]) -> None:
    """Logs and traces find each other."""
    configure_logging("json")
    with use_span(NonRecordingSpan(SpanContext(1, 2, is_remote=False))):
        structlog.get_logger().info("hello")
    line = only_line(capsys)
    assert (line["trace_id"], line["span_id"]) == ("0" * 31 + "1", "0" * 15 + "2")


def test_an_exception_is_structured(capsys: pytest.CaptureFixture[str]) -> None:
    """A stack is data in a JSON line."""
    configure_logging("json")
    structlog.get_logger().error("failed", exc_info=ValueError("why"))
    exceptions = only_line(capsys)["exception"]
    assert isinstance(exceptions, list)
    assert [(found["exc_type"], found["exc_value"]) for found in exceptions] == [("ValueError", "why")]


def test_the_level_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """Below it nothing is written."""
    configure_logging("json", "warning")
    structlog.get_logger().info("hello")
    assert capsys.readouterr().out == ""


def test_standard_logging_goes_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    """Libraries' lines have the same shape, and name their logger."""
    configure_logging("json")
    logging.getLogger("grpc").warning("from %s", "gRPC")
    line = only_line(capsys)
    assert (line["event"], line["level"], line["logger"]) == ("from gRPC", "warning", "grpc")


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Event and values on one line, without colours when stdout is no terminal."""
    configure_logging("console")
    structlog.get_logger().info("hello", number=1)
    out = capsys.readouterr().out
    assert "hello" in out
    assert "number=1" in out
    assert "\x1b" not in out


def test_configuring_twice_writes_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The second set-up replaces the first."""
    configure_logging("json")
    configure_logging("json")
    logging.getLogger("grpc").warning("once")
    assert only_line(capsys)["event"] == "once"


@pytest.mark.parametrize(("format_name", "level"), [("xml", "info"), ("json", "loud")])
def test_unknown_words_are_config_errors(format_name: str, level: str) -> None:
    """The error names what is possible."""
    with pytest.raises(ConfigError, match="must be"):
        configure_logging(format_name, level)  # type: ignore[arg-type]
