"""Single properties of the generation loop, in virtual time (tests/property has the rest)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from draftmesh.coordinator.loop.company import Companies
from draftmesh.coordinator.loop.config import GenerationConfig
from draftmesh.coordinator.loop.generation import Generation, Instruments, Job
from draftmesh.coordinator.loop.pace import PaceConfig
from draftmesh.coordinator.loop.rest import RestConfig
from draftmesh.coordinator.loop.transcript import Advance
from draftmesh.core.draft import Block
from draftmesh.core.endpoint import CostPoint, LoadReport
from draftmesh.core.errors import (
    DraftmeshError,
    FencedError,
    InvalidRequestError,
    PromptTooLongError,
    UnavailableError,
)
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import Method, StopConditions
from draftmesh.core.text import Item, TokenPrefix
from draftmesh.core.verify import PsiReply, VerifyRound
from draftmesh.telemetry.metrics import CoordinatorMetrics
from draftmesh.tokenization import DraftTranslator
from tests.helpers.clocks import FakeClock
from tests.helpers.generation_bench import (
    CROWDED,
    HURRIED,
    PROSE,
    Recorder,
    job_of,
    make_generation,
    seats_of,
    text_of,
    tiny_tokenizer,
)
from tests.helpers.peers.id_drafters import FakeIdDrafter
from tests.helpers.peers.seats import FakeSeat, FakeSeats
from tests.helpers.peers.text_drafters import FakeDrafter, MalformedDrafter
from tests.helpers.peers.verifier import FakeVerifier, FakeVerifyStream
from tests.helpers.peers.wire import Faults
from tests.helpers.virtual_time import run_virtual

PATH = tuple(tiny_tokenizer().encode_bytes(PROSE.encode())[:200])
STOP = StopConditions(max_tokens=100)


def verifier(**options: object) -> FakeVerifier:
    """A verifier whose steps take about 100 ms."""
    return FakeVerifier(PATH, tiny_tokenizer().vocabulary, **options)  # type: ignore[arg-type]


def drafter(**options: object) -> FakeDrafter:
    """A drafter that knows what the target says."""
    return FakeDrafter(text_of(PATH), **options)  # type: ignore[arg-type]


def generate(
    verifiers: FakeSeats[FakeVerifier],
    drafters: FakeSeats[FakeDrafter] | None,
    *,
    method: Method = Method.EXACT,
    draft_tokens: int = 8,
) -> tuple[Recorder, float]:
    """Run a session; what it said, and how long it took."""
    output = Recorder()

    async def main() -> float:
        job = job_of(STOP, method=method, draft_tokens=draft_tokens)
        await make_generation(job, verifiers, drafters, output).run()
        return asyncio.get_running_loop().time()

    return output, run_virtual(main())


def test_a_good_drafter_makes_a_session_several_times_faster() -> None:
    """Drafting overlaps with verification: with a perfect drafter nearly every step commits a whole draft."""
    _, alone_s = generate(seats_of(verifier()), None, method=Method.OFF)
    output, drafted_s = generate(seats_of(verifier()), seats_of(drafter(), limit_tokens=32))
    assert output.ids == PATH[:100]
    assert (output.ledger.rounds < 20, drafted_s < alone_s / 4, output.ledger.wasted_bytes) == (True, True, 0)


@pytest.mark.parametrize("token_ms", [3.0, 30.0, 300.0])
def test_a_useless_drafter_is_hardly_waited_for(token_ms: float) -> None:
    """With a drafter that is always wrong, fast or slow, the verifier is idle for less than a tenth of the time."""
    output, duration_s = generate(seats_of(verifier()), seats_of(drafter(accuracy=0.0, token_ms=token_ms)))
    assert output.ledger.draft_wait_ms < 100 * duration_s


COSTS = LoadReport(costs=(CostPoint(1, 100.0), CostPoint(9, 130.0)))
"""Of a verifier whose steps take about 100 ms, and 30 ms more with a draft."""


def seconds_after(tokens: int, output: Timed) -> float:
    """How long it took from so many tokens to the end."""
    return output.times_s[-1] - next(
        time for time, count in zip(output.times_s, output.counts, strict=True) if count >= tokens
    )


class Timed(Recorder):
    """An output that notes when it got how many tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.times_s: list[float] = []
        self.counts: list[int] = []

    async def advance(self, advance: Advance, ledger: Ledger) -> None:
        """Part of ``Output``."""
        await super().advance(advance, ledger)
        self.times_s.append(asyncio.get_running_loop().time())
        self.counts.append(len(self.ids))


def generate_long(peer: FakeDrafter | None) -> Timed:
    """A session of 400 tokens at a verifier that tells its costs."""
    output = Timed()
    target = FakeVerifier(PATH, tiny_tokenizer().vocabulary, judging_ms=30.0)

    async def main() -> None:
        verifiers = FakeSeats(FakeSeat("verifier", "fake", target, 16, load=COSTS))
        job = job_of(StopConditions(max_tokens=400), method=Method.EXACT if peer else Method.OFF)
        await make_generation(job, verifiers, seats_of(peer) if peer else None, output).run()

    run_virtual(main())
    return output


@pytest.mark.parametrize("token_ms", [1.0, 10.0, 60.0, 400.0])
def test_a_useless_drafter_costs_a_twentieth_at_most(token_ms: float) -> None:
    """After the first 64 tokens a session with it is as fast as one without, however fast it is wrong."""
    alone, drafted = generate_long(None), generate_long(drafter(accuracy=0.0, token_ms=token_ms))
    assert drafted.ids == alone.ids
    assert seconds_after(64, alone) / seconds_after(64, drafted) > 0.95


def test_a_drafter_is_asked_for_what_may_be_of_use() -> None:
    """A drafter that is often wrong is asked for less than one that is right, and never for nothing."""
    asked = {}
    for accuracy in (0.7, 1.0):
        peer = drafter(accuracy=accuracy, token_ms=1.0)
        generate_long(peer)
        asked[accuracy] = peer.streams[-1].commits[-1].extent.ahead_tokens
    assert 3 < asked[0.7] < asked[1.0]


def test_branches_bridge_the_way_to_a_drafter() -> None:
    """What follows a rejected draft is there at once, so the target waits less for each draft."""
    without, bridged = (generate_long(drafter(accuracy=0.85, token_ms=5.0, branches=branches)) for branches in (0, 16))
    assert bridged.ids == without.ids
    waits_ms = [output.ledger.draft_wait_ms / output.ledger.rounds for output in (without, bridged)]
    assert waits_ms[1] < 0.7 * waits_ms[0]


def test_branches_are_asked_for_where_the_target_waits_for_drafts() -> None:
    """That is, where a session has its target for itself."""
    peer, crowded = drafter(accuracy=0.7, token_ms=1.0), drafter(accuracy=0.7, token_ms=1.0)
    generate_long(peer)
    extents = [commit.extent for commit in peer.streams[-1].commits]
    assert all(extent.branches == 6 and 1 < extent.branch_tokens < 16 for extent in extents)
    generate(seats_of(verifier(), load=CROWDED), seats_of(crowded))
    assert not any(commit.extent.branches for commit in crowded.streams[-1].commits)


def generate_in_company(load: LoadReport) -> tuple[Ledger, float]:
    """A session with a good drafter among others under this load; its books, and how long it took."""
    target, output = FakeVerifier(PATH, tiny_tokenizer().vocabulary), Recorder()
    drafters = seats_of(drafter(accuracy=0.9, token_ms=5.0))

    async def main() -> float:
        job = job_of(StopConditions(max_tokens=len(PATH)), draft_tokens=8)
        await make_generation(job, seats_of(target, load=load), drafters, output).run()
        return asyncio.get_running_loop().time()

    duration_s = run_virtual(main())
    assert output.ids == PATH
    return output.ledger, duration_s


def test_in_company_the_target_does_not_wait_for_drafts_that_are_far() -> None:
    """It says a token in every step until the draft comes, of which what is said by then is not judged any more."""
    books, duration_s = generate_in_company(HURRIED)
    assert books.accepted_tokens > books.free_run_tokens > books.rounds / 2
    assert books.draft_wait_ms < 50 * duration_s


def test_in_company_the_target_waits_for_drafts_that_are_near() -> None:
    """As it does for one that is alone."""
    books, _ = generate_in_company(CROWDED)
    assert books.accepted_tokens > 10 * books.free_run_tokens


def test_no_drafter_is_taken_for_a_session_whose_company_rests() -> None:
    """It is known before the session has one; and the session learns with the others what a step takes."""
    peer, output, companies = drafter(), Recorder(), Companies(RestConfig())

    async def main() -> None:
        job, verifiers = job_of(StopConditions(max_tokens=16)), seats_of(verifier(), load=CROWDED)
        await make_generation(job, verifiers, seats_of(peer), output, companies=companies).run()

    run_virtual(main())
    assert (output.ids, peer.streams) == (PATH[:16], [])
    run_virtual(main())
    assert len(peer.streams) == 1


def test_a_drafter_is_asked_for_no_more_before_the_first_commit() -> None:
    """While the target computes the prompt nothing is known but what its steps cost."""
    peer = drafter(accuracy=0.5, token_ms=1.0)
    generate_long(peer)
    assert 3 < peer.streams[0].request.first_extent.ahead_tokens < peer.streams[0].request.max_ahead_tokens


def test_a_session_that_rests_lets_its_drafter_go() -> None:
    """The stream is closed while drafting does not pay, and opened again at the text that has been said meanwhile."""
    peer = drafter(accuracy=0.0, token_ms=1.0)
    generate_long(peer)
    assert 3 <= len(peer.opened) <= 8
    lengths = [request.committed_tokens for request in peer.opened]
    assert [later - earlier >= 16 for earlier, later in pairwise(lengths)] == [True] * (len(lengths) - 1)
    assert peer.num_open == 0


def test_a_drafter_that_becomes_useful_is_used_again() -> None:
    """A rest ends with a trial."""

    class Waking(FakeDrafter):
        def propose(self, offset: int) -> Item:
            self.accuracy = 1.0 if len(self.opened) > 2 else 0.0
            return super().propose(offset)

    peer = Waking(text_of(PATH * 3), token_ms=1.0)
    alone, drafted = generate_long(None), generate_long(peer)
    assert (drafted.ids == alone.ids, len(peer.opened)) == (True, 3)
    assert seconds_after(200, alone) / seconds_after(200, drafted) > 3


def test_a_silent_drafter_costs_two_steps_at_most() -> None:
    """Waits for a draft that never comes end soon and for good."""
    output, _ = generate(seats_of(verifier()), seats_of(drafter(silent=True)))
    assert output.ledger.draft_wait_ms <= 2 * 150


def test_without_drafting_the_target_is_asked_once() -> None:
    """Method off is one free run for the whole text."""
    peer = verifier()
    generate(seats_of(peer), None, method=Method.OFF)
    assert [(request.draft_ids, request.free_run) for request in peer.rounds] == [((), 100)]


def test_no_draft_tokens_means_no_drafter() -> None:
    """A request for drafts of no tokens opens no drafter stream."""
    peer = drafter()
    output, _ = generate(seats_of(verifier()), seats_of(peer), draft_tokens=0)
    assert (output.ids, peer.opened) == (PATH[:100], [])


def test_drafts_keep_to_the_limits() -> None:
    """No round has more draft tokens than the request, and than the verifier takes."""
    for wanted, limit in ((5, 16), (16, 3)):
        peer = verifier()
        generate(seats_of(peer, limit_tokens=limit), seats_of(drafter()), draft_tokens=wanted)
        assert max(len(request.draft_ids) for request in peer.rounds) == min(wanted, limit)


def test_the_first_round_does_not_wait_for_a_drafter() -> None:
    """Generation starts with a free run while the drafter is still being opened."""
    peer = verifier()
    generate(seats_of(peer), seats_of(drafter(token_ms=500.0)))
    first = peer.rounds[0]
    assert (first.base, first.draft_ids, first.free_run) == (TokenPrefix(), (), 16)


class Watching(Recorder):
    """An output that notes how many rounds a verifier had been sent when it got something."""

    def __init__(self, peer: FakeVerifier) -> None:
        super().__init__()
        self._peer = peer
        self.rounds_before: list[int] = []

    async def advance(self, advance: Advance, ledger: Ledger) -> None:
        """Part of ``Output``."""
        self.rounds_before.append(len(self._peer.rounds))
        await super().advance(advance, ledger)


@pytest.mark.parametrize(("rounds_ahead", "sent"), [(0, 2), (1, 3)])
def test_the_next_round_goes_out_before_the_text(rounds_ahead: int, sent: int) -> None:
    """When a verdict finds a draft ready, the next round is with the verifier before anybody sees the text.

    With a draft that reaches beyond that, so is the one after it: before the verdict on the one that it follows.
    """
    peer = verifier()
    output = Watching(peer)

    async def main() -> None:
        drafters = seats_of(drafter(token_ms=0.5), limit_tokens=32)
        config = GenerationConfig(rounds_ahead=rounds_ahead)
        await make_generation(job_of(STOP, draft_tokens=4), seats_of(peer), drafters, output, config).run()

    run_virtual(main())
    judged = [index for index, advance in enumerate(output.advances) if len(advance.tokens) == 5]
    assert len(judged) > 15
    assert output.ledger.stale_rounds == 0
    ((usual, _),) = Counter(output.rounds_before[index] - index for index in judged).most_common(1)
    assert usual == sent


def test_the_drafter_hears_of_a_commit_before_anybody_sees_the_text() -> None:
    """It draws on while the text is being persisted."""
    peer = drafter(token_ms=0.5)
    heard: list[bool] = []

    class Asking(Recorder):
        async def advance(self, advance: Advance, ledger: Ledger) -> None:
            await super().advance(advance, ledger)
            told = sum(len(commit.items) for stream in peer.streams for commit in stream.commits)
            heard.append(peer.opened[-1].committed_tokens + told >= len(self.ids))

    run_job(job_of(STOP), peer, Asking(), verifier())
    assert all(heard[2:])


def test_a_wrong_guess_costs_nothing() -> None:
    """Rounds that were sent ahead on tokens that the target did not say are refused, and the text is the target's."""
    outputs = []
    for sent_ahead in (1, 0):
        output, peer = Recorder(), verifier()
        config = GenerationConfig(rounds_ahead=sent_ahead)
        run_job(job_of(STOP, draft_tokens=2), drafter(accuracy=0.9, token_ms=0.5), output, peer, config=config)
        outputs.append(output)
    assert outputs[0].ids == outputs[1].ids == PATH[:100]
    assert outputs[0].ledger.stale_rounds > 0 == outputs[1].ledger.stale_rounds


def test_a_slow_reader_does_not_hold_up_the_target() -> None:
    """The next round is computed while the text is being persisted."""

    class Slow(Recorder):
        async def advance(self, advance: Advance, ledger: Ledger) -> None:
            await asyncio.sleep(0.05)
            await super().advance(advance, ledger)

    async def main() -> float:
        drafters = seats_of(drafter(token_ms=0.5), limit_tokens=32)
        await make_generation(job_of(STOP), seats_of(verifier()), drafters, Slow()).run()
        return asyncio.get_running_loop().time()

    _, undisturbed_s = generate(seats_of(verifier()), seats_of(drafter(token_ms=0.5), limit_tokens=32))
    assert run_virtual(main()) < undisturbed_s + 0.3


def test_the_drafter_hears_every_commit_once() -> None:
    """Commits name consecutive text, numbered from 1, and end with all that was committed while it listened."""
    peer = drafter()
    generate(seats_of(verifier()), seats_of(peer))
    (stream,) = peer.streams
    text = b"".join(item for commit in stream.commits for item in commit.items if isinstance(item, bytes))
    assert text_of(PATH[:100]).startswith(text)
    assert len(text) > 100
    assert [commit.commit_seq for commit in stream.commits] == list(range(1, len(stream.commits) + 1))


def test_failover_tells_the_next_verifier_what_is_committed() -> None:
    """The stream is opened again with every committed id and a higher fence; none is drawn again."""
    first, second = verifier(faults=Faults(lifetimes=[3])), verifier()
    output, _ = generate(seats_of(first, second), None)
    (request,) = second.opened
    assert request.committed_ids == PATH[:3]
    assert request.fence > first.opened[0].fence
    assert output.ids == PATH[:100]


def test_a_draining_verifier_is_left_between_two_steps() -> None:
    """The session moves with what is committed, long before the verifier cuts it off."""
    first, second = verifier(), verifier()
    verifiers = seats_of(first, second)
    output = Recorder()

    async def main() -> None:
        task = asyncio.create_task(make_generation(job_of(STOP), verifiers, None, output).run())
        await asyncio.sleep(1.0)
        verifiers.seats[-1].retiring.set()
        await task

    run_virtual(main())
    assert output.ids == PATH[:100]
    assert (len(first.opened), len(second.opened), first.num_open) == (1, 1, 0)
    assert len(second.opened[0].committed_ids) < 20


@pytest.mark.parametrize("error", [PromptTooLongError("long"), InvalidRequestError("wrong"), FencedError("taken over")])
def test_some_errors_are_final(error: Exception) -> None:
    """A request that is wrong, or a session that another shard has taken over, is not tried elsewhere."""
    second = verifier()
    with pytest.raises(type(error)):
        generate(seats_of(verifier(faults=Faults([error])), second), None)  # type: ignore[list-item]
    assert second.opened == []


def test_progress_renews_the_patience() -> None:
    """A verifier that dies every few tokens slows a session down and never ends it."""
    output, duration_s = generate(seats_of(verifier(step_ms=400.0, faults=Faults(lifetimes=[2] * 200))), None)
    assert (output.ids, duration_s > 20) == (PATH[:100], True)


def test_a_verifier_that_dies_late_in_a_long_prompt_is_replaced() -> None:
    """The time that it took before it failed is no time without progress after a failure."""
    first, second = verifier(step_ms=30_000.0, faults=Faults(lifetimes=[0])), verifier()
    output, duration_s = generate(seats_of(first, second), None)
    assert (output.ids, len(second.opened), duration_s > 15) == (PATH[:100], 1, True)


class Failing(Recorder):
    """A store that is away for so many attempts after the second step."""

    def __init__(self, failures: int, error: DraftmeshError | None = None) -> None:
        super().__init__()
        self.failures = failures
        self.error = error or UnavailableError("the store is away")

    async def advance(self, advance: Advance, ledger: Ledger) -> None:
        """Part of ``Output``."""
        if len(self.advances) == 2 and self.failures:
            self.failures -= 1
            raise self.error
        await super().advance(advance, ledger)


def persist(output: Recorder, *verifiers: FakeVerifier) -> None:
    """Run a session without drafts."""
    run_job(job_of(STOP), None, output, *verifiers)


def run_job(
    job: Job,
    peer: FakeDrafter | None,
    output: Recorder,
    *verifiers: FakeVerifier,
    config: GenerationConfig | None = None,
) -> None:
    """Run any session."""

    async def main() -> None:
        drafters = seats_of(peer) if peer is not None else None
        await make_generation(job, seats_of(*verifiers), drafters, output, config).run()

    run_virtual(main())


def test_text_that_could_not_be_persisted_is_delivered_later() -> None:
    """When the output fails for a while, nothing is missing afterwards, and the verifier has no part in it."""
    output, first, second = Failing(3), verifier(), verifier()
    persist(output, first, second)
    assert (output.ids, len(first.opened), second.opened) == (PATH[:100], 1, [])


@pytest.mark.parametrize("error", [UnavailableError("the store is away"), FencedError("another shard has it")])
def test_an_output_that_fails_for_good_ends_the_session(error: DraftmeshError) -> None:
    """With its own error; no other verifier is tried."""
    first, second = verifier(), verifier()
    with pytest.raises(type(error), match=str(error)):
        persist(Failing(10_000, error), first, second)
    assert (len(first.opened), second.opened, first.num_open) == (1, [], 0)


def test_a_verifier_that_hangs_is_given_up() -> None:
    """One whose stream stays open and says nothing counts as failed after a while; another one goes on."""

    class Hanging(FakeVerifier):
        def next_token(self, position: int) -> int:
            if position == 5:
                self.step_ms = 1e9
            return super().next_token(position)

    first, second = Hanging(PATH, tiny_tokenizer().vocabulary), verifier()
    output, duration_s = generate(seats_of(first, second), seats_of(drafter()))
    assert (output.ids, len(first.opened), first.num_open) == (PATH[:100], 1, 0)
    assert 10 < duration_s < 60


def test_a_bug_in_drafting_costs_the_drafts_alone() -> None:
    """What is raised that is no error of the tree is logged, and drafting begins again."""

    class Buggy(FakeDrafter):
        def distort(self, block: Block) -> Iterator[object]:
            if len(self.opened) == 1:
                block = replace(block, items=(None,))  # type: ignore[arg-type]
            yield block

    peer = Buggy(text_of(PATH))
    output, _ = generate(seats_of(verifier()), seats_of(peer))
    assert (output.ids, len(peer.opened), output.ledger.drafter_failures) == (PATH[:100], 2, 1)
    assert output.ledger.accepted_tokens > 0


def test_the_last_round_has_no_more_draft_than_can_be_committed() -> None:
    """One token always follows a draft, so a draft ends before the last token; the books count no others."""
    for max_tokens in (1, 2, 9, 30):
        peer, output = verifier(), Recorder()
        job = job_of(StopConditions(max_tokens), method=Method.TLI)
        run_job(job, FakeIdDrafter(PATH, tiny_tokenizer().vocabulary, token_ms=0.5), output, peer)
        ends = [request.base.length + len(request.draft_ids) for request in peer.rounds if request.draft_ids]
        assert max(ends, default=0) < max_tokens
        assert output.ledger.accepted_tokens == output.ledger.drafted_tokens


def test_a_study_waits_for_drafts_from_the_start() -> None:
    """With a least wait the first round has a draft, though its drafter had to be opened."""
    peer = verifier()
    config = GenerationConfig(pace=PaceConfig(min_wait_ms=5000.0, max_wait_ms=5000.0))
    run_job(job_of(STOP), drafter(), Recorder(), peer, config=config)
    assert len(peer.rounds[0].draft_ids) == 8


def test_a_malformed_drafter_is_not_asked_again() -> None:
    """One block that contradicts itself is enough; the other drafter takes over."""
    bad, good = MalformedDrafter(text_of(PATH)), drafter()
    output, _ = generate(seats_of(verifier()), seats_of(bad, good))
    assert (len(bad.opened), len(good.opened), output.ledger.drafter_failures) == (1, 1, 1)
    assert output.ledger.accepted_tokens > 0


def test_another_drafter_at_a_known_address_is_not_worked_with() -> None:
    """It was restarted with another model; until the pool knows that, nothing that it draws is taken."""
    changed, good = drafter(), drafter()
    changed.digest = b"another"
    output, _ = generate(seats_of(verifier()), seats_of(changed, good))
    assert not any(stream.commits for stream in changed.streams)
    assert output.ledger.accepted_tokens > 0


def test_a_drafter_that_is_full_is_no_failure() -> None:
    """A stream that was never opened has not failed; the session tries again later."""
    peer = drafter(faults=Faults(open_errors=[UnavailableError("gone")] * 3))
    output, _ = generate(seats_of(verifier()), seats_of(peer))
    assert (len(peer.opened), output.ledger.drafter_failures) == (4, 0)


def test_a_refused_draft_is_not_repeated() -> None:
    """While the tokens that made a draft stale are on their way, the same draft is not sent again and again."""
    peer = verifier(flush_rate=0.2)
    generate(seats_of(peer), seats_of(drafter(accuracy=0.6, token_ms=10.0)))
    drafts = [(request.base, request.draft_ids) for request in peer.rounds if request.draft_ids]
    assert len(drafts) == len(set(drafts))


def test_the_books_balance() -> None:
    """Tokens are accepted, a round's own, or free (the last round may lack its own), and every position adds up."""
    output, duration_s = generate(seats_of(verifier()), seats_of(drafter(accuracy=0.8)))
    books = output.ledger
    assert books.committed_tokens == 100
    assert books.committed_tokens - books.accepted_tokens - books.free_run_tokens in {books.rounds, books.rounds - 1}
    assert sum(books.accepted_per_position) == books.accepted_tokens
    assert sum(books.drafted_per_position) == books.drafted_tokens
    assert books.committed_bytes == len(text_of(PATH[:100]))
    assert books.draft_wait_ms + books.verify_wait_ms == pytest.approx(books.elapsed_ms)
    assert books.elapsed_ms == pytest.approx(1e3 * duration_s)


def test_a_verdict_is_booked_also_when_the_session_is_cancelled_right_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Books are kept once a turn, when its round has gone out: here it never does."""
    sent, send = [], FakeVerifyStream.send

    async def send_some(self: FakeVerifyStream, message: VerifyRound | PsiReply) -> None:
        sent.append(message)
        if len(sent) > 6:
            await asyncio.Event().wait()
        await send(self, message)

    monkeypatch.setattr(FakeVerifyStream, "send", send_some)
    verifiers = seats_of(verifier())

    async def main() -> Ledger:
        config = GenerationConfig(rounds_ahead=0)
        drafters = seats_of(drafter(token_ms=0.5), limit_tokens=32)
        generation = make_generation(job_of(STOP, draft_tokens=4), verifiers, drafters, Recorder(), config)
        running = asyncio.create_task(generation.run())
        await asyncio.sleep(2.0)
        before = verifiers.seats[0].books
        running.cancel()
        await asyncio.wait([running])
        return before

    before = run_virtual(main())
    after = verifiers.seats[0].books
    assert len(sent) == 7
    assert (after.rounds, after.committed_tokens) == (before.rounds + 1, before.committed_tokens + 5)


def instrumented(metrics: CoordinatorMetrics, tracer: TracerProvider) -> Recorder:
    """Run a session with real instruments."""
    output = Recorder()

    async def main() -> None:
        instruments = Instruments(FakeClock(), Random(0), tracer.get_tracer("test"), metrics)
        generation = Generation(
            job_of(STOP),
            table=tiny_tokenizer().vocabulary,
            translator=DraftTranslator(tiny_tokenizer()),
            verifiers=seats_of(verifier()),
            drafters=seats_of(drafter(accuracy=0.9)),
            output=output,
            config=GenerationConfig(),
            companies=Companies(RestConfig()),
            instruments=instruments,
        )
        await generation.run()

    run_virtual(main())
    return output


def test_every_round_has_a_span_with_its_parts() -> None:
    """Each round is a span; the wait for a draft and all that is done here are its children."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    output = instrumented(CoordinatorMetrics.create(NoOpMeter("test")), provider)
    spans = exporter.get_finished_spans()
    rounds = [span for span in spans if span.name == "draftmesh.round"]
    accepted = sum(attribute(span, "draftmesh.accepted_tokens") for span in rounds)
    assert accepted == output.ledger.accepted_tokens
    ids = {span.context.span_id for span in rounds}
    children = {span.name for span in spans if span.parent is not None and span.parent.span_id in ids}
    assert children == {
        "draftmesh.draft_wait",
        "draftmesh.translate",
        "draftmesh.send",
        "draftmesh.settle",
        "draftmesh.commit",
    }


def attribute(span: ReadableSpan, name: str) -> int:
    """A number among a span's attributes."""
    value = (span.attributes or {})[name]
    assert isinstance(value, int)
    return value


def test_the_books_are_metrics_too() -> None:
    """The shard's counters grow by what the ledger says, and no session is left without a drafter."""
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader]).get_meter("test")
    output = instrumented(CoordinatorMetrics.create(meter), TracerProvider())
    data = reader.get_metrics_data()
    assert data is not None
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    totals = {metric.name: sum(getattr(p, "value", 0) for p in metric.data.data_points) for metric in metrics}
    books = output.ledger
    assert (
        totals["draftmesh.accepted_tokens"] == totals["draftmesh.accepted_tokens_per_position"] == books.accepted_tokens
    )
    assert totals["draftmesh.drafted_tokens"] == books.drafted_tokens
    assert totals["draftmesh.committed_tokens"] == 100
    assert totals["draftmesh.sessions_without_drafter"] == 0
