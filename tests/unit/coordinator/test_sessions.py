"""Records, their store, readers, admission and live sessions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from opentelemetry.metrics import NoOpMeter
from structlog.testing import capture_logs

from draftmesh.coordinator.admission import Admission, AdmissionConfig
from draftmesh.coordinator.loop.transcript import Advance, Origin, TokenSpan
from draftmesh.coordinator.sessions.live import LiveSession
from draftmesh.coordinator.sessions.reading import Chunk, Reader, follow, replay
from draftmesh.coordinator.sessions.record import SessionRecord
from draftmesh.coordinator.sessions.store import MemoryStore, MemoryStoreConfig
from draftmesh.core.errors import (
    ExhaustedError,
    InternalError,
    InvalidRequestError,
    UnavailableError,
    UnknownSessionError,
)
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import FinishReason, Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.telemetry.metrics import CoordinatorMetrics
from tests.helpers.clocks import FakeClock
from tests.helpers.virtual_time import run_virtual

RECORD = SessionRecord(
    "s0-1", 1, "model", b"target", Method.EXACT, (1, 2), SamplingParams(), StopConditions(), NoiseKey(bytes(16))
)


def span(length: int) -> TokenSpan:
    """A token of so many bytes."""
    return TokenSpan(length, length, Origin.TARGET)


def step(text: bytes, ready: int, *lengths: int, finish: FinishReason | None = None) -> Advance:
    """A step that adds ``text`` in tokens of these lengths."""
    return Advance(tuple(span(length) for length in lengths), text, ready, finish)


GROWN = RECORD.advanced(step(b"abcd", 3, 2, 2), Ledger(), "drafter")
ENDED = GROWN.advanced(step(b"e", 5, 1, 0, finish=FinishReason.EOS), Ledger(), "drafter")


def test_a_record_grows_by_its_steps() -> None:
    """Text and tokens are appended; the rest is what the newest step says."""
    assert (ENDED.text, ENDED.ready_length, len(ENDED.tokens), ENDED.finish_reason) == (
        b"abcde",
        5,
        4,
        FinishReason.EOS,
    )


def test_visible_text_of_an_ended_session_is_what_was_delivered() -> None:
    """While it runs, all committed text is known; afterwards what was held back is not part of it."""
    assert (GROWN.visible_text, GROWN.cancelled().visible_text) == (b"abcd", b"abc")


def test_a_reader_gets_text_once_and_in_order() -> None:
    """Each chunk has what came since the last one, tokens included, even if their text is held back still."""
    reader = Reader(RECORD)
    assert reader.next(RECORD) is None
    assert reader.next(GROWN) == Chunk(0, b"abc", (span(2), span(2)))
    assert reader.next(GROWN) is None
    assert reader.next(ENDED) == Chunk(3, b"de", (span(1), span(0)))
    assert reader.next(ENDED) is None


def test_tokens_without_text_are_shown_at_the_end() -> None:
    """An end token that comes alone is not lost."""
    reader = Reader(GROWN, 3)
    reader.next(GROWN)
    last = GROWN.advanced(step(b"", 3, 0, finish=FinishReason.EOS), Ledger(), "")
    chunk = reader.next(last)
    assert chunk is not None
    assert (chunk.text, chunk.tokens[-1]) == (b"", span(0))


@pytest.mark.parametrize(("offset", "tokens"), [(0, 4), (1, 4), (2, 3), (3, 3), (4, 2), (5, 0)])
def test_a_resumed_reader_gets_tokens_that_reach_beyond_its_offset(offset: int, tokens: int) -> None:
    """Tokens that end at the offset or before have been seen."""
    chunk = Reader(ENDED, offset).next(ENDED)
    assert ("" if chunk is None else chunk.text, 0 if chunk is None else len(chunk.tokens)) == (
        b"abcde"[offset:] or "",
        tokens,
    )


@pytest.mark.parametrize("offset", [-1, 6])
def test_there_is_no_text_beyond_the_end(offset: int) -> None:
    """An offset outside the text is refused."""
    with pytest.raises(InvalidRequestError, match="offset"):
        Reader(ENDED, offset)


def test_a_failed_session_is_replayed_up_to_its_failure() -> None:
    """The text that there was, then UNAVAILABLE."""
    failed = GROWN.failed("UNAVAILABLE: gone")
    chunks = replay(failed, Reader(failed))
    assert next(chunks).text == b"abc"
    with pytest.raises(UnavailableError, match="gone"):
        next(chunks)


@dataclass
class ScriptedWork:
    """A generation that takes given steps, then raises or returns."""

    steps: list[Advance]
    error: Exception | None = None
    pause_s: float = 1.0
    session: LiveSession | None = None
    drafter_name: str = "drafter"
    ran: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Part of ``Work``."""
        assert self.session is not None
        for advance in self.steps:
            await asyncio.sleep(self.pause_s)
            await self.session.advance(advance, Ledger(committed_bytes=len(advance.text)))
        if self.error is not None:
            raise self.error


def live_session(store: MemoryStore | None = None) -> LiveSession:
    """A session that has not begun."""
    store = store or MemoryStore(MemoryStoreConfig(), FakeClock())
    return LiveSession(RECORD, store, FakeClock(), CoordinatorMetrics.create(NoOpMeter("test")))


async def run_session(work: ScriptedWork) -> tuple[LiveSession, list[bytes]]:
    """Start it and read it to its end."""
    session = live_session()
    work.session = session
    await session.start(work)
    return session, [chunk.text async for chunk in follow(session, Reader(session.record))]


STEPS = [step(b"abcd", 3, 2, 2), step(b"e", 5, 1, finish=FinishReason.LENGTH)]


def test_a_session_is_followed_to_its_end() -> None:
    """Readers see each step as it is made."""
    _, texts = run_virtual(run_session(ScriptedWork(STEPS)))
    assert texts == [b"abc", b"de"]


def test_a_failed_session_fails_its_readers() -> None:
    """With the error that it failed with, after the text that there was."""

    async def main() -> tuple[list[bytes], str]:
        session, texts = live_session(), []
        await session.start(ScriptedWork(STEPS[:1], UnavailableError("no verifier"), session=session))
        chunks = follow(session, Reader(session.record))
        texts.append((await anext(chunks)).text)
        with pytest.raises(UnavailableError, match="no verifier"):
            await anext(chunks)
        return texts, session.record.failure

    assert run_virtual(main()) == ([b"abc"], "UNAVAILABLE: no verifier")


def test_a_bug_is_told_as_one() -> None:
    """A client learns nothing of what went wrong inside; the log does."""

    async def main() -> LiveSession:
        session = live_session()
        await session.start(ScriptedWork([], ZeroDivisionError("secret"), session=session))
        await session.ended()
        return session

    with capture_logs() as logs:
        session = run_virtual(main())
    assert isinstance(session.error, InternalError)
    assert "secret" not in session.record.failure
    assert [entry["event"] for entry in logs] == ["session failed by a bug", "session"]


def test_one_line_tells_of_a_session() -> None:
    """The canonical line has the session, its end and its books."""
    with capture_logs() as logs:
        run_virtual(run_session(ScriptedWork(STEPS)))
    (line,) = logs
    expected = {"event": "session", "session_id": "s0-1", "method": "exact", "finish_reason": "length"}
    assert {key: line[key] for key in expected} == expected
    assert (line["prompt_tokens"], line["completion_tokens"], line["duration_ms"]) == (2, 3, 2000.0)


@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.5])
def test_a_cancelled_session_is_recorded_as_such(after_s: float) -> None:
    """Whether it had begun or not; a second time there is nothing to cancel."""

    async def main() -> tuple[SessionRecord, bool, bool]:
        store = MemoryStore(MemoryStoreConfig(), FakeClock())
        session = live_session(store)
        await session.start(ScriptedWork(STEPS, session=session))
        if after_s:
            await asyncio.sleep(after_s)
        first, second = await session.cancel(), await session.cancel()
        return await store.load("s0-1"), first, second

    record, first, second = run_virtual(main())
    assert (record.finish_reason, first, second) == (FinishReason.CANCELLED, True, False)


def test_a_session_that_has_ended_cannot_be_cancelled() -> None:
    """Its finish reason stays."""

    async def main() -> tuple[SessionRecord, bool]:
        session, _ = await run_session(ScriptedWork(STEPS))
        await session.ended()
        return session.record, await session.cancel()

    record, cancelled = run_virtual(main())
    assert (record.finish_reason, cancelled) == (FinishReason.LENGTH, False)


def test_nothing_is_shown_that_is_not_saved() -> None:
    """A reader sees a step after the store has it."""
    saved: list[int] = []

    class SlowStore(MemoryStore):
        async def save(self, record: SessionRecord, advance: Advance | None) -> None:
            await asyncio.sleep(5)
            await super().save(record, advance)
            saved.append(record.ready_length)

    async def main() -> list[tuple[int, int]]:
        session = live_session(SlowStore(MemoryStoreConfig(), FakeClock()))
        await session.start(ScriptedWork(STEPS, session=session))
        return [(c.offset + len(c.text), saved[-1]) async for c in follow(session, Reader(session.record))]

    assert run_virtual(main()) == [(3, 3), (5, 5)]


def test_readers_hear_of_the_end_when_the_store_fails_for_good() -> None:
    """Nobody waits for ever: they are told what the session failed with."""

    class FailingStore(MemoryStore):
        saves = 0

        async def save(self, record: SessionRecord, advance: Advance | None) -> None:
            self.saves += 1
            if self.saves > 2:
                raise UnavailableError("the store is gone")
            await super().save(record, advance)

    async def main() -> list[bytes]:
        session = live_session(FailingStore(MemoryStoreConfig(), FakeClock()))
        await session.start(ScriptedWork(STEPS, session=session))
        return [chunk.text async for chunk in follow(session, Reader(session.record))]

    with pytest.raises(UnavailableError, match="the store is gone"), capture_logs():
        run_virtual(main())


def test_the_store_forgets_ended_sessions_alone() -> None:
    """By age and by number, the oldest first; those that run stay."""

    async def main() -> list[bool]:
        store = MemoryStore(MemoryStoreConfig(max_ended_sessions=2, keep_s=10.0), FakeClock())
        await store.save(replace(RECORD, session_id="running"), None)
        for name in "abc":
            await store.save(replace(ENDED, session_id=name), None)
            await asyncio.sleep(4)
        known = [await knows(store, name) for name in ("running", "a", "b", "c")]
        await asyncio.sleep(4)
        return known + [await knows(store, name) for name in ("running", "b", "c")]

    assert run_virtual(main()) == [True, False, True, True, True, False, True]


def test_the_store_bounds_the_tokens_that_it_keeps() -> None:
    """Of ended sessions so many stay as fit, a new one whatever its size; one that ends twice counts once."""

    async def main() -> list[bool]:
        size = len(ENDED.prompt_ids) + len(ENDED.tokens)
        store = MemoryStore(MemoryStoreConfig(max_ended_tokens=2 * size), FakeClock())
        for name in "aabc":
            await store.save(replace(ENDED, session_id=name), None)
        known = [await knows(store, name) for name in "abc"]
        await store.save(replace(ENDED, session_id="long", prompt_ids=(1,) * 3 * size), None)
        return known + [await knows(store, name) for name in ("b", "c", "long")]

    assert run_virtual(main()) == [False, True, True, False, False, True]


async def knows(store: MemoryStore, session_id: str) -> bool:
    """Whether the store has it."""
    try:
        await store.load(session_id)
    except UnknownSessionError:
        return False
    return True


def test_admission_lets_wait_and_refuses() -> None:
    """So many at a time, so many waiting, and the rest are refused with a hint."""

    async def main() -> list[str]:
        admission = Admission(AdmissionConfig(max_sessions=1, max_waiting=1, max_wait_ms=5000, retry_after_ms=7))
        log: list[str] = []

        async def session(name: str, duration_s: float) -> None:
            try:
                async with admission.slot():
                    log.append(f"{name} in")
                    await asyncio.sleep(duration_s)
            except ExhaustedError as error:
                log.append(f"{name} refused, {error.retry_after_ms} ms")

        await asyncio.gather(session("a", 1), session("b", 9), session("c", 1))
        return log

    assert run_virtual(main()) == ["a in", "c refused, 7 ms", "b in"]


def test_waiting_for_admission_is_bounded() -> None:
    """A request that has waited long enough is refused."""

    async def main() -> float:
        admission = Admission(AdmissionConfig(max_sessions=1, max_wait_ms=500))
        async with admission.slot():
            with pytest.raises(ExhaustedError, match="in time"):
                async with admission.slot():
                    pass
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(0.5)


def test_a_shard_that_closes_admits_nobody_who_waits() -> None:
    """A place that becomes free then is given to nobody."""

    async def main() -> bool:
        admission = Admission(AdmissionConfig(max_sessions=1))
        served = False

        async def request() -> None:
            nonlocal served
            async with admission.slot():
                served = True

        async with admission.slot():
            waiting = asyncio.create_task(request())
            await asyncio.sleep(0.1)
            admission.close()
        with pytest.raises(UnavailableError, match="about to stop"):
            await waiting
        return served

    assert run_virtual(main()) is False


def test_a_closed_shard_admits_nobody() -> None:
    """It is about to stop."""

    async def main() -> None:
        admission = Admission(AdmissionConfig())
        admission.close()
        async with admission.slot():
            pass

    with pytest.raises(UnavailableError, match="about to stop"):
        run_virtual(main())
