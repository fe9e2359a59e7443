"""Logs: one structured line an event on stdout, carrying the context variables and the trace that it belongs to.

The standard library's logging (gRPC, Ray, transformers) goes through the same renderer.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Literal

import structlog
from opentelemetry import trace
from structlog.types import EventDict, Processor, WrappedLogger

from draftmesh.core.errors import ConfigError

LogFormat = Literal["console", "json"]
LEVELS = ("debug", "info", "warning", "error")


def configure_logging(format: LogFormat = "console", level: str = "info") -> None:
    """Set up structlog and the standard library's root logger; calling it again replaces the set-up.

    Raises:
        ConfigError: an unknown format or level.
    """
    if format not in {"console", "json"}:
        raise ConfigError(f"log format must be console or json, got {format!r}")
    if level not in LEVELS:
        raise ConfigError(f"log level must be one of {', '.join(LEVELS)}, got {level!r}")
    number: int = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_shared(format), *_renderers(format)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(),
    )
    _route_standard_logging(format, number)


def _shared(format: LogFormat) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True) if format == "json" else _clock_time(),
        _add_trace,
    ]


def _clock_time() -> Processor:
    return structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False)


def _renderers(format: LogFormat) -> Sequence[Processor]:
    if format == "json":
        return (structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer())
    return (structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()),)


def _add_trace(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = f"{span.trace_id:032x}"
        event["span_id"] = f"{span.span_id:016x}"
    return event


def _route_standard_logging(format: LogFormat, level: int) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_shared(format), structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(format)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
