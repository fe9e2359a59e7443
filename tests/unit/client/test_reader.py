"""Messages become values: streams, sessions, pool members, ledgers."""

from __future__ import annotations

import pytest

from draftmesh.client import Chunk, PoolMember, Session, Token
from draftmesh.client.messages import chunk_from_proto, pool_member_from_proto, session_from_proto
from draftmesh.client.reader import StreamReader
from draftmesh.core.endpoint import CostPoint, LoadReport
from draftmesh.core.errors import StateError, UnavailableError
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import FinishReason
from draftmesh.core.verify import TokenLogprobs
from draftmesh.v1 import common_pb2, coordinator_pb2, verifier_pb2
from tests.helpers.scripted_coordinator import SESSION_ID, chunk, finished, started

DRAFTED = coordinator_pb2.TokenSpan(id=5, byte_length=2, origin=coordinator_pb2.ORIGIN_DRAFTED)
OWN = coordinator_pb2.TokenSpan(
    id=6,
    byte_length=1,
    origin=coordinator_pb2.ORIGIN_TARGET,
    logprobs=verifier_pb2.TokenLogprobs(chosen=-0.5, top_ids=[6, 9], top_logprobs=[-0.5, -1.5]),
)
TOKENS = (Token(5, 2, True), Token(6, 1, False, TokenLogprobs(-0.5, ((6, -0.5), (9, -1.5)))))


def test_a_whole_stream_becomes_a_generation() -> None:
    """Chunks join to the text, tokens keep their origins, and the last message brings reason, counts and ledger."""
    reader = StreamReader()
    for message in (started(), chunk(b"ab", 0, [DRAFTED]), chunk(b"c", 2, [OWN]), finished(2)):
        reader.read(message)
    reader.end()
    result = reader.result
    assert (result.session_id, result.model, result.method) == (SESSION_ID, "toy", "exact")
    assert (result.text, result.tokens, result.token_ids) == ("abc", TOKENS, (5, 6))
    assert (result.finish_reason, result.prompt_tokens, result.completion_tokens) == (FinishReason.LENGTH, 3, 2)
    assert result.ledger == Ledger(rounds=2, drafted_tokens=4, accepted_tokens=3)


def test_only_chunks_are_handed_on() -> None:
    """The first and the last message, and one of a kind that is unknown here, are no chunks."""
    reader = StreamReader()
    messages = (started(), chunk(b"a"), coordinator_pb2.GenerateResponse(), finished())
    assert [reader.read(message) for message in messages] == [None, Chunk(0, b"a", ()), None, None]


def test_the_session_is_known_from_the_first_message() -> None:
    """Its id can be used while the generation runs."""
    reader = StreamReader()
    before = reader.session_id
    reader.read(started())
    assert (before, reader.session_id) == ("", SESSION_ID)


def test_a_stream_that_breaks_off_is_an_error() -> None:
    """A stream that ends in order but without its last message was cut: what came may not be all."""
    reader = StreamReader()
    reader.read(started())
    reader.read(chunk(b"a"))
    with pytest.raises(UnavailableError, match="before the generation had finished"):
        reader.end()


def test_there_is_no_result_before_the_end() -> None:
    """Asking too early is the caller's mistake."""
    reader = StreamReader()
    reader.read(started())
    with pytest.raises(StateError, match="read the stream to its end"):
        _ = reader.result


def test_text_that_is_no_utf8_is_still_text() -> None:
    """Bytes that do not decode are replaced in ``text`` and kept in ``data``."""
    piece = chunk_from_proto(chunk(b"a\xff").chunk)
    assert (piece.text, piece.data) == ("a\N{REPLACEMENT CHARACTER}", b"a\xff")


def test_a_running_session_has_no_finish_reason() -> None:
    """Every field of a session comes over; an unset finish reason is None."""
    message = coordinator_pb2.GetSessionResponse(
        session_id=SESSION_ID,
        shard=2,
        model="toy",
        method=common_pb2.METHOD_OFF,
        prompt_tokens=3,
        committed_tokens=4,
        text=b"abcd",
        ledger=coordinator_pb2.Ledger(target_steps=4, accepted_per_position=[2, 1]),
        drafter="small",
    )
    expected = Session(
        session_id=SESSION_ID,
        shard=2,
        model="toy",
        method="off",
        prompt_tokens=3,
        committed_tokens=4,
        data=b"abcd",
        finish_reason=None,
        drafter="small",
        ledger=Ledger(target_steps=4, accepted_per_position=(2, 1)),
    )
    assert expected == session_from_proto(message)


def test_an_ended_session_says_why() -> None:
    """The wire's finish reason is ours."""
    message = coordinator_pb2.GetSessionResponse(
        method=common_pb2.METHOD_EXACT, finish_reason=common_pb2.FINISH_REASON_CANCELLED
    )
    assert session_from_proto(message).finish_reason is FinishReason.CANCELLED


@pytest.mark.parametrize(
    ("kind", "name"),
    [(coordinator_pb2.POOL_KIND_DRAFTER, "drafter"), (coordinator_pb2.POOL_KIND_VERIFIER, "verifier")],
)
def test_a_pool_member_comes_with_its_load(kind: coordinator_pb2.PoolKind.ValueType, name: str) -> None:
    """Kind, address, model, load and ledger come over."""
    message = coordinator_pb2.PoolMember(
        kind=kind,
        address="host:1",
        model="toy",
        ready=True,
        load=common_pb2.LoadReport(
            active_sessions=1, max_sessions=4, costs=[common_pb2.CostPoint(rows=8, milliseconds=2.5)]
        ),
        ledger=coordinator_pb2.Ledger(rounds=3),
        trusted=True,
    )
    load = LoadReport(active_sessions=1, max_sessions=4, costs=(CostPoint(8, 2.5),))
    member = PoolMember(name, "host:1", "toy", ready=True, load=load, ledger=Ledger(rounds=3), trusted=True)
    assert member == pool_member_from_proto(message)


def test_a_ledger_derives_its_rates() -> None:
    """Acceptance is a share of the drafted, the length counts the target's own token, the rest are plain quotients."""
    ledger = Ledger(
        rounds=4,
        drafted_tokens=12,
        accepted_tokens=9,
        committed_tokens=20,
        committed_bytes=80,
        target_steps=10,
        elapsed_ms=500.0,
    )
    derived = (
        ledger.acceptance_rate,
        ledger.acceptance_length,
        ledger.bytes_per_target_step,
        ledger.tokens_per_second,
    )
    assert derived == (0.75, 3.25, 8.0, 40.0)


def test_an_empty_ledger_divides_by_nothing() -> None:
    """Before anything has happened the rates are 0, and a round would commit one token."""
    ledger = Ledger()
    derived = (
        ledger.acceptance_rate,
        ledger.acceptance_length,
        ledger.bytes_per_target_step,
        ledger.tokens_per_second,
    )
    assert derived == (0.0, 1.0, 0.0, 0.0)
