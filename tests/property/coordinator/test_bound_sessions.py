"""Sessions with the method ``slrs``: once a drafter has been told of a base, that base ends with its own block."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.coordinator.drafting.stage import FeedConfig
from draftmesh.coordinator.loop.config import GenerationConfig
from draftmesh.coordinator.loop.failover import FailoverConfig
from draftmesh.core.draft import Block, Evaluated
from draftmesh.core.errors import ExhaustedError, UnavailableError
from draftmesh.core.evidence import PsiEvidence
from draftmesh.core.sampling import Method, NoiseKey, StopConditions
from draftmesh.decoding.streams import Stream, stream_key
from tests.helpers.bound_rounds import bases_told, check_blocks
from tests.helpers.generation_bench import PROSE, Recorder, job_of, make_generation, tiny_tokenizer
from tests.helpers.peers.id_drafters import FakeIdDrafter, conditional_psi
from tests.helpers.peers.seats import FakeSeat, FakeSeats
from tests.helpers.peers.verifier import FakeVerifier
from tests.helpers.peers.wire import Faults
from tests.helpers.virtual_time import run_virtual

TABLE = tiny_tokenizer().vocabulary
PATH = tuple(tiny_tokenizer().encode_bytes(PROSE.encode())[:150])
CONFIG = GenerationConfig(feed=FeedConfig(bond_patience_ms=8000.0), failover=FailoverConfig(patience_ms=8000.0))
# Longer than all the failures that `drafters` draws can take, pauses included: 3 x (6 + 4) x 2 s.
PATIENT = GenerationConfig(feed=FeedConfig(bond_patience_ms=60_000.0), failover=CONFIG.failover)


def verifier(**options: object) -> FakeVerifier:
    """A verifier of the path."""
    return FakeVerifier(PATH, TABLE, **{"step_ms": 20.0, **options})  # type: ignore[arg-type]


def drafter(**options: object) -> FakeIdDrafter:
    """A drafter of the path."""
    return FakeIdDrafter(PATH, TABLE, **{"accuracy": 0.8, **options})  # type: ignore[arg-type]


def seats(*peers: FakeIdDrafter, limit_tokens: int = 24) -> FakeSeats[FakeIdDrafter]:
    """A pool of these."""
    return FakeSeats(
        *(FakeSeat(f"drafter-{n}", "fake", peer, limit_tokens, peer.digest) for n, peer in enumerate(peers))
    )


def generate(
    targets: Sequence[FakeVerifier],
    drafters: FakeSeats[FakeIdDrafter],
    *,
    max_tokens: int = 60,
    draft_tokens: int = 4,
    config: GenerationConfig = CONFIG,
) -> Recorder:
    """Run a session."""
    output = Recorder()
    verifiers = FakeSeats(*(FakeSeat(f"verifier-{n}", "fake", peer) for n, peer in enumerate(targets)))

    async def main() -> None:
        job = job_of(StopConditions(max_tokens), method=Method.SLRS, draft_tokens=draft_tokens)
        await make_generation(job, verifiers, drafters, output, config).run()

    run_virtual(main())
    return output


def check_psi(target: FakeVerifier) -> None:
    """Every question was answered with ψ given the accepted tokens."""
    for _, _, ids, psi in target.psi:
        assert psi == pytest.approx([conditional_psi(token) for token in ids])


@st.composite
def drafters(draw: st.DrawFn) -> FakeIdDrafter:
    """Of one digest: right and wrong, quick and slow, dying, sometimes with nothing to propose."""
    return drafter(
        accuracy=draw(st.sampled_from([0.0, 0.5, 0.9, 1.0])),
        token_ms=draw(st.sampled_from([0.5, 10.0, 100.0])),
        missing_rate=draw(st.sampled_from([0.0, 0.3])),
        faults=Faults(
            open_errors=draw(
                st.lists(st.sampled_from([None, ExhaustedError("full"), UnavailableError("gone")]), max_size=6)
            ),
            lifetimes=draw(st.lists(st.integers(0, 12), max_size=4)),
        ),
        seed=draw(st.integers(0, 1 << 16)),
        knows_vocabulary=draw(st.booleans()),
    )


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 60), st.integers(1, 8))
def test_a_base_that_a_drafter_knows_ends_with_its_block(
    data: st.DataObject, max_tokens: int, draft_tokens: int
) -> None:
    """Drafters of one digest die and are replaced, verifiers too: no free run or other block decides such a base."""
    peers = data.draw(st.lists(drafters(), min_size=1, max_size=3))
    for peer in peers[1:]:  # drafters of one digest draw the same
        peer.accuracy, peer.missing_rate = peers[0].accuracy, peers[0].missing_rate
    lifetimes = st.lists(st.integers(1, 8), max_size=2)
    targets = [
        verifier(faults=Faults(lifetimes=data.draw(lifetimes)), seed=data.draw(st.integers(0, 99)))
        for _ in range(data.draw(st.integers(1, 2)))
    ]
    pool = seats(*peers)
    output = generate(targets, pool, max_tokens=max_tokens, draft_tokens=draft_tokens, config=PATIENT)
    assert output.ids == PATH[:max_tokens]
    rounds = [request for target in targets for request in target.rounds]
    check_blocks(rounds, max_tokens, draft_tokens)
    for target in targets:
        check_psi(target)
    assert [peer.num_open for peer in peers] + [target.num_open for target in targets] == [0] * len([*peers, *targets])


def test_no_free_run_where_a_drafter_is_at_work() -> None:
    """However slow it is, every base that it is told of is judged with its block, except for the very last token."""
    for seed in range(20):
        peer, target = drafter(token_ms=400.0, seed=seed, missing_rate=0.2), verifier()
        generate([target], seats(peer))
        free = {request.base.length for request in target.rounds if request.free_run}
        assert free & (set(bases_told(peer)) - {59}) == set()
        assert sum(request.evidence is not None for request in target.rounds) > 5


def test_a_drafter_is_told_nothing_while_the_target_runs_freely() -> None:
    """A drafter that is found late is opened when the free run has ended, at the text that it has ended with."""
    late, target = drafter(), verifier(step_ms=50.0)
    pool = FakeSeats[FakeIdDrafter]()

    async def main() -> None:
        job = job_of(StopConditions(60), method=Method.SLRS, draft_tokens=4)
        task = asyncio.create_task(
            make_generation(job, FakeSeats(FakeSeat("v", "fake", target)), pool, Recorder()).run()
        )
        await asyncio.sleep(0.4)
        pool.add(FakeSeat("drafter", "fake", late, 24))
        await task

    run_virtual(main())
    (request,) = late.opened
    runs = [request for request in target.rounds if request.free_run]
    assert request.committed_tokens in {run.base.length + run.free_run for run in runs}
    check_blocks(target.rounds, 60, 4)


def test_only_a_drafter_of_the_same_digest_takes_over() -> None:
    """It draws the block of the same base again; the other one, though it is free, is never asked."""
    lost, other = drafter(faults=Faults(lifetimes=[5])), drafter(digest=b"other")
    twin, target = drafter(), verifier()
    output = generate([target], seats(lost, other, twin))
    assert (output.ids, other.opened) == (PATH[:60], [])
    assert twin.opened[0].committed_tokens == bases_told(lost)[-1]
    check_blocks(target.rounds, 60, 4)


def test_open_questions_are_answered_by_the_successor() -> None:
    """A drafter that dies of the question leaves it to the next one, and the verifier waits."""

    class Dying(FakeIdDrafter):
        def distort_answer(self, answer: Evaluated) -> Iterator[object]:
            del answer
            yield UnavailableError("died of a question")

    lost, twin, target = Dying(PATH, TABLE, accuracy=0.3), drafter(accuracy=0.3), verifier()
    output = generate([target], seats(lost, twin))
    assert (output.ids, lost.evaluations > 0, twin.evaluations > 0) == (PATH[:60], True, True)
    check_psi(target)


def test_a_drafter_that_forgot_is_opened_again() -> None:
    """An answer without numbers costs the stream, and the block is drawn again."""

    class Forgetful(FakeIdDrafter):
        forgets = True

        def distort_answer(self, answer: Evaluated) -> Iterator[object]:
            yield Evaluated(answer.evaluation_id, ()) if self.forgets else answer
            self.forgets = False

    peer, target = Forgetful(PATH, TABLE, accuracy=0.3), verifier()
    output = generate([target], seats(peer))
    assert (output.ids, len(peer.opened), output.ledger.drafter_failures) == (PATH[:60], 2, 1)
    check_psi(target)


def test_a_session_whose_drafter_is_lost_for_good_ends() -> None:
    """Neither a free run nor another drafter's block takes the base over: the session fails, and says why."""
    lost, other, target = drafter(faults=Faults(lifetimes=[5])), drafter(digest=b"other"), verifier()
    lost.faults = Faults(lifetimes=[5], open_errors=[None, *[UnavailableError("gone")] * 1000])
    with pytest.raises(UnavailableError, match="no drafter of the same model has taken over within 8 s"):
        generate([target], seats(lost, other))
    assert (other.opened, target.num_open) == ([], 0)


def test_a_silent_drafter_is_replaced_and_then_the_session_ends() -> None:
    """One that owes its block too long counts as lost: its twin is asked."""
    silent, twin, target = drafter(silent=True), drafter(), verifier()
    assert generate([target], seats(silent, twin)).ids == PATH[:60]
    with pytest.raises(UnavailableError, match="method slrs"):
        generate([verifier()], seats(drafter(silent=True)))


def test_a_drafter_that_drains_is_left_between_two_blocks() -> None:
    """It is not told of the next base, so a drafter of any digest may go on."""
    first, second, target = drafter(), drafter(digest=b"other"), verifier()
    pool, output = seats(first, second), Recorder()

    async def main() -> None:
        job = job_of(StopConditions(60), method=Method.SLRS, draft_tokens=4)
        task = asyncio.create_task(make_generation(job, FakeSeats(FakeSeat("v", "fake", target)), pool, output).run())
        await asyncio.sleep(0.3)
        assert first.streams[0].commits
        next(seat for seat in pool.seats if seat.peer is first).retiring.set()
        await task

    run_virtual(main())
    assert (output.ids, len(first.opened), len(second.opened)) == (PATH[:60], 1, 1)
    assert output.ledger.drafter_failures == 0
    assert bases_told(first)[-1] < second.opened[0].committed_tokens
    check_blocks(target.rounds, 60, 4)


def test_the_drafter_gets_the_draft_key_alone() -> None:
    """Of the session's keys it could not derive those of accept tests and residuals."""
    peer = drafter()
    generate([verifier()], seats(peer))
    assert peer.opened[0].noise_key == stream_key(NoiseKey(bytes(16)), Stream.DRAFT)
    assert peer.opened[0].target_vocabulary_digest == TABLE.digest
    assert peer.opened[0].max_ahead_tokens == 4


def test_a_block_that_is_too_long_ends_its_drafter() -> None:
    """More tokens than asked for are a breach: the drafter is not asked again."""

    class TooLong(FakeIdDrafter):
        def distort(self, block: Block) -> Iterator[object]:
            items, ids = block.items * 9, block.target_ids * 9
            values = block.evidence.values * 9 if isinstance(block.evidence, PsiEvidence) else ()
            yield Block(block.commit_seq, block.start, items, block.paused, ids, PsiEvidence(values))

    bad, twin = TooLong(PATH, TABLE), drafter()
    assert generate([verifier()], seats(bad, twin)).ids == PATH[:60]
    assert (len(bad.opened), len(twin.opened)) == (1, 1)
