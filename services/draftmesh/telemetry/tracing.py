"""Names of spans and attributes, and the few helpers that carry a trace across messages.

A session's stream lives too long for one span, so every message carries the W3C ``traceparent`` of the round that it
belongs to, and each side opens its spans under it. Without an SDK in the process all of this is a few microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

SCOPE = "draftmesh"

SPAN_SESSION = "draftmesh.session"
"""One generation, from admission to its last byte (coordinator)."""
SPAN_ROUND = "draftmesh.round"
"""One round of a session, from the draft that it took to its commit (coordinator)."""
SPAN_DRAFT = "draftmesh.draft"
"""Drafting from one commit to the next (drafter)."""
SPAN_TRANSLATE = "draftmesh.translate"
"""Text of a draft to target ids (coordinator)."""
SPAN_SEND = "draftmesh.send"
"""Handing a round to the transport (coordinator)."""
SPAN_VERIFY = "draftmesh.verify"
"""A round from its arrival to its last verdict (verifier)."""
SPAN_SETTLE = "draftmesh.settle"
"""Taking in what a verdict says: transcript, draft and books (coordinator)."""
SPAN_COMMIT = "draftmesh.commit"
"""Persisting and delivering what a verdict settled (coordinator)."""

SESSION_ID = "draftmesh.session_id"
METHOD = "draftmesh.method"
ROUND = "draftmesh.round"
DRAFTER = "draftmesh.drafter"
VERIFIER = "draftmesh.verifier"
DRAFTED_TOKENS = "draftmesh.drafted_tokens"
ACCEPTED_TOKENS = "draftmesh.accepted_tokens"
COMMITTED_TOKENS = "draftmesh.committed_tokens"
FREE_RUN_STEPS = "draftmesh.free_run_steps"
STALE = "draftmesh.stale"
BATCH_SEQUENCES = "draftmesh.batch_sequences"
BATCH_ROWS = "draftmesh.batch_rows"
QUEUE_MS = "draftmesh.queue_ms"
COMPUTE_MS = "draftmesh.compute_ms"
FORWARD_MS = "draftmesh.forward_ms"

RPC_SYSTEM_NAME = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_STATUS_CODE = "rpc.response.status_code"
ERROR_TYPE = "error.type"

GEN_AI_MODEL = "gen_ai.request.model"
GEN_AI_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
GEN_AI_FINISH_REASONS = "gen_ai.response.finish_reasons"

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

_W3C = TraceContextTextMapPropagator()
_TRACER = trace.get_tracer(SCOPE)
"""A proxy until a provider is set; it may be set later."""


def tracer(scope: str = SCOPE) -> Tracer:
    """A tracer of the process's provider; one that does nothing when there is no SDK."""
    return trace.get_tracer(scope)


def current_traceparent() -> str:
    """The W3C traceparent of the current span; empty when there is none."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return ""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def context_of(traceparent: str) -> context_api.Context | None:
    """The context to open a span under; None, which means the current one, for an empty or malformed traceparent."""
    if not traceparent:
        return None
    context = _W3C.extract({TRACEPARENT: traceparent})
    return context if trace.get_current_span(context).get_span_context().is_valid else None


def context_of_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> context_api.Context | None:
    """The trace context in the metadata of a call, if there is one."""
    found = {key: value for key, value in metadata if key in {TRACEPARENT, TRACESTATE} and isinstance(value, str)}
    return _W3C.extract(found) if TRACEPARENT in found else None


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """The current trace context as metadata of a call; empty when there is none."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return tuple(carrier.items())
