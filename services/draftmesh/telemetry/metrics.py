"""Every instrument of draftmesh, by daemon: names, units, descriptions and buckets are defined here and nowhere else.

Exposition names follow from these (Prometheus: dots to underscores, ``_total``, ``_seconds``), and autoscalers query
them, so a change here is a change of interface.
"""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry import metrics
from opentelemetry.metrics import Counter, Histogram, Meter, UpDownCounter

SCOPE = "draftmesh"

POSITION = "draftmesh.position"
"""Attribute of ``accepted_tokens_per_position``: the position in the draft, from 0."""
MAX_POSITION = 31
"""Positions beyond are counted here, to bound the number of series."""

REQUEST_BUCKETS_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_TOKEN_BUCKETS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
OUTPUT_TOKEN_BUCKETS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
RPC_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
WAIT_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


def meter(scope: str = SCOPE) -> Meter:
    """A meter of the process's provider; one that does nothing when there is no SDK."""
    return metrics.get_meter(scope)


def position_attribute(position: int) -> dict[str, int]:
    """The attribute of a draft position, bounded."""
    return {POSITION: min(position, MAX_POSITION)}


PSI = "draftmesh.drafter.psi"
"""Counts the token sequences whose ψ a drafter reported."""

PSI_ROWS = "draftmesh.drafter.psi_rows"
"""Counts the rows of a drafter's engine that were computed for ψ alone."""


@dataclass(frozen=True, slots=True)
class RpcMetrics:
    """What every server measures."""

    server_call_duration: Histogram
    """``rpc.server.call.duration``, by rpc.method and rpc.response.status_code."""

    @classmethod
    def create(cls, meter: Meter) -> RpcMetrics:
        """The instruments of one server."""
        return cls(
            _seconds(meter, "rpc.server.call.duration", "Duration of calls as the server sees them", RPC_BUCKETS_S)
        )


@dataclass(frozen=True, slots=True)
class DrafterMetrics:
    """What a drafter measures."""

    sessions_active: UpDownCounter
    """Sessions with an open stream."""

    drafted_tokens: Counter
    """Drafter tokens drawn and sent."""

    wasted_bytes: Counter
    """Drafted bytes that a commit contradicted."""

    psi: Counter
    """Sequences of target tokens whose ψ was reported, with a block or as an answer."""

    psi_rows: Counter
    """Engine rows computed for ψ alone."""

    draft_rows: Counter
    """Engine rows computed to draw draft tokens, those of contexts and committed text among them."""

    batch_sequences: Histogram
    """Sequences in one engine step."""

    step_duration: Histogram
    """Duration of one engine step."""

    @classmethod
    def create(cls, meter: Meter) -> DrafterMetrics:
        """The instruments of one drafter."""
        return cls(
            sessions_active=_sessions_active(meter),
            drafted_tokens=_drafted_tokens(meter),
            wasted_bytes=_wasted_bytes(meter),
            psi=meter.create_counter(PSI, "{sequence}", "Token sequences whose ψ was reported"),
            psi_rows=_rows(meter, PSI_ROWS, "Engine rows computed for ψ alone"),
            draft_rows=_rows(meter, "draftmesh.drafter.draft_rows", "Engine rows computed to draw draft tokens"),
            batch_sequences=_batch_sequences(meter),
            step_duration=_step_duration(meter),
        )


@dataclass(frozen=True, slots=True)
class VerifierMetrics:
    """What a verifier measures."""

    sessions_active: UpDownCounter
    """Sessions with an open stream."""

    rounds: Counter
    """Rounds computed."""

    stale_rounds: Counter
    """Rounds answered as stale."""

    drafted_tokens: Counter
    """Draft tokens judged."""

    accepted_tokens: Counter
    """Draft tokens accepted."""

    free_run_tokens: Counter
    """Tokens decoded without a draft."""

    verify_wait: Histogram
    """From a round's arrival to its first engine step."""

    batch_sequences: Histogram
    """Sequences in one engine step."""

    step_duration: Histogram
    """Duration of one engine step."""

    @classmethod
    def create(cls, meter: Meter) -> VerifierMetrics:
        """The instruments of one verifier."""
        return cls(
            sessions_active=_sessions_active(meter),
            rounds=_rounds(meter),
            stale_rounds=_stale_rounds(meter),
            drafted_tokens=_drafted_tokens(meter),
            accepted_tokens=_accepted_tokens(meter),
            free_run_tokens=_free_run_tokens(meter),
            verify_wait=_verify_wait(meter),
            batch_sequences=_batch_sequences(meter),
            step_duration=_step_duration(meter),
        )


@dataclass(frozen=True, slots=True)
class CoordinatorMetrics:
    """What a coordinator shard measures: the ledger of all its sessions, and what its clients feel."""

    sessions_active: UpDownCounter
    """Sessions that are generating."""

    sessions_without_drafter: UpDownCounter
    """Of those, the ones whose policy would draft and that have no drafter."""

    rounds: Counter
    """Rounds that judged a draft."""

    stale_rounds: Counter
    """Rounds answered as stale."""

    drafted_tokens: Counter
    """Target tokens drafted and judged."""

    accepted_tokens: Counter
    """Of those, accepted."""

    accepted_tokens_per_position: Counter
    """Accepted draft tokens, by ``draftmesh.position``."""

    committed_tokens: Counter
    """Committed tokens of all origins."""

    free_run_tokens: Counter
    """Tokens decoded without a draft."""

    wasted_bytes: Counter
    """Drafted bytes thrown away without being judged."""

    drafter_failures: Counter
    """Drafter streams that ended in mid-session."""

    drafter_moves: Counter
    """Sessions that have left a drafter for a better one, each time."""

    draft_wait: Histogram
    """What a round waited for a draft."""

    verify_wait: Histogram
    """What a round waited for its verdict."""

    time_to_first_token: Histogram
    """``gen_ai.server.time_to_first_token``."""

    time_per_output_token: Histogram
    """``gen_ai.server.time_per_output_token``: mean of a request, the first token left out."""

    request_duration: Histogram
    """``gen_ai.server.request.duration``."""

    @classmethod
    def create(cls, meter: Meter) -> CoordinatorMetrics:
        """The instruments of one shard."""
        return cls(
            sessions_active=_sessions_active(meter),
            sessions_without_drafter=meter.create_up_down_counter(
                "draftmesh.sessions_without_drafter", "{session}", "Sessions that would draft and have no drafter"
            ),
            rounds=_rounds(meter),
            stale_rounds=_stale_rounds(meter),
            drafted_tokens=_drafted_tokens(meter),
            accepted_tokens=_accepted_tokens(meter),
            accepted_tokens_per_position=_tokens(
                meter, "accepted_tokens_per_position", "Accepted draft tokens by position"
            ),
            committed_tokens=_tokens(meter, "committed_tokens", "Committed target tokens of all origins"),
            free_run_tokens=_free_run_tokens(meter),
            wasted_bytes=_wasted_bytes(meter),
            drafter_failures=meter.create_counter(
                "draftmesh.drafter_failures", "{stream}", "Drafter streams that ended in mid-session"
            ),
            drafter_moves=meter.create_counter(
                "draftmesh.drafter_moves", "{move}", "Moves of sessions to better drafters"
            ),
            draft_wait=_seconds(meter, "draftmesh.draft_wait", "Wait of a round for a draft", WAIT_BUCKETS_S),
            verify_wait=_verify_wait(meter),
            time_to_first_token=_seconds(
                meter, "gen_ai.server.time_to_first_token", "Time to the first token", FIRST_TOKEN_BUCKETS_S
            ),
            time_per_output_token=_seconds(
                meter, "gen_ai.server.time_per_output_token", "Time per token after the first", OUTPUT_TOKEN_BUCKETS_S
            ),
            request_duration=_seconds(
                meter, "gen_ai.server.request.duration", "Duration of generations", REQUEST_BUCKETS_S
            ),
        )


def _tokens(meter: Meter, name: str, description: str) -> Counter:
    return meter.create_counter(f"draftmesh.{name}", "{token}", description)


def _seconds(meter: Meter, name: str, description: str, buckets: tuple[float, ...]) -> Histogram:
    return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=buckets)


def _sessions_active(meter: Meter) -> UpDownCounter:
    return meter.create_up_down_counter("draftmesh.sessions_active", "{session}", "Sessions with an open stream")


def _rows(meter: Meter, name: str, description: str) -> Counter:
    return meter.create_counter(name, "{row}", description)


def _rounds(meter: Meter) -> Counter:
    return meter.create_counter("draftmesh.rounds", "{round}", "Rounds that judged a draft")


def _stale_rounds(meter: Meter) -> Counter:
    return meter.create_counter("draftmesh.stale_rounds", "{round}", "Rounds answered as stale")


def _drafted_tokens(meter: Meter) -> Counter:
    return _tokens(meter, "drafted_tokens", "Draft tokens")


def _accepted_tokens(meter: Meter) -> Counter:
    return _tokens(meter, "accepted_tokens", "Draft tokens that the target accepted")


def _free_run_tokens(meter: Meter) -> Counter:
    return _tokens(meter, "free_run_tokens", "Tokens that the target decoded without a draft")


def _wasted_bytes(meter: Meter) -> Counter:
    return meter.create_counter("draftmesh.wasted_bytes", "By", "Drafted bytes that nobody used")


def _verify_wait(meter: Meter) -> Histogram:
    return _seconds(meter, "draftmesh.verify_wait", "Wait of a round for the verifier", WAIT_BUCKETS_S)


def _batch_sequences(meter: Meter) -> Histogram:
    return meter.create_histogram(
        "draftmesh.batch_sequences",
        "{sequence}",
        "Sequences in one engine step",
        explicit_bucket_boundaries_advisory=BATCH_BUCKETS,
    )


def _step_duration(meter: Meter) -> Histogram:
    return _seconds(meter, "draftmesh.step_duration", "Duration of one engine step", WAIT_BUCKETS_S)
