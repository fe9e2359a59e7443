"""The session loop with drafters of target ids: their evidence goes with their tokens, and the text is the target's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.core.errors import ExhaustedError, UnavailableError
from draftmesh.core.evidence import ProposalEvidence, check_evidence
from draftmesh.core.sampling import Method, StopConditions
from draftmesh.decoding.stopping import StopTracker
from tests.helpers.generation_bench import (
    CROWDED,
    HURRIED,
    IDLE,
    PROSE,
    Recorder,
    eos_id,
    job_of,
    make_generation,
    seats_of,
    tiny_tokenizer,
)
from tests.helpers.peers.id_drafters import FakeIdDrafter, FalseIdDrafter
from tests.helpers.peers.verifier import FakeVerifier
from tests.helpers.peers.wire import Faults
from tests.helpers.virtual_time import run_virtual

TABLE = tiny_tokenizer().vocabulary
ID_METHODS = (Method.TLI, Method.TLI_EXACT, Method.REJECTION)


@st.composite
def paths(draw: st.DrawFn) -> tuple[int, ...]:
    """What the target says: natural tokens or any, of which some have no bytes, and perhaps its end."""
    natural = tiny_tokenizer().encode_bytes(PROSE[: draw(st.integers(1, 120))].encode())
    odd = draw(st.lists(st.integers(0, len(TABLE) - 1), max_size=10))
    return (*natural, *odd, *([eos_id()] if draw(st.booleans()) else []))


@st.composite
def drafters(draw: st.DrawFn, path: tuple[int, ...]) -> FakeIdDrafter:
    """Right, wrong, slow, dying, lying ones; some do not know the vocabulary at first."""
    kind = draw(st.sampled_from([FakeIdDrafter, FakeIdDrafter, FakeIdDrafter, FalseIdDrafter]))
    return kind(
        path,
        TABLE,
        accuracy=draw(st.sampled_from([0.0, 0.5, 0.9, 1.0])),
        token_ms=draw(st.sampled_from([0.5, 3.0, 40.0])),
        faults=Faults(
            open_errors=draw(st.lists(st.sampled_from([None, UnavailableError("gone"), ExhaustedError("full")]))),
            lifetimes=draw(st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=3)),
        ),
        seed=draw(st.integers(0, 1 << 16)),
        knows_vocabulary=draw(st.booleans()),
    )


@st.composite
def verifiers(draw: st.DrawFn, path: tuple[int, ...]) -> FakeVerifier:
    """Fast, slow, dying ones."""
    return FakeVerifier(
        path,
        TABLE,
        step_ms=draw(st.sampled_from([5.0, 100.0])),
        flush_rate=draw(st.sampled_from([1.0, 0.3])),
        faults=Faults(lifetimes=draw(st.lists(st.integers(1, 8), max_size=2))),
        seed=draw(st.integers(0, 1 << 16)),
    )


def expected(path: Sequence[int], stop: StopConditions) -> tuple[int, ...]:
    """What the target says alone."""
    endless = (tuple(path) * (stop.max_tokens // len(path) + 1))[: stop.max_tokens]
    return StopTracker(stop, TABLE).settle(endless).tokens


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(ID_METHODS), st.integers(1, 60), st.booleans())
def test_every_round_carries_the_evidence_of_its_own_tokens(
    data: st.DataObject, method: Method, max_tokens: int, ignore_eos: bool
) -> None:
    """Whatever happens to the services, evidence and ids fit, rounds end at max_tokens, the text is the target's."""
    path = data.draw(paths())
    peers = data.draw(st.lists(drafters(path), min_size=1, max_size=2))
    targets = data.draw(st.lists(verifiers(path), min_size=1, max_size=2))
    stop, output = StopConditions(max_tokens, ignore_eos=ignore_eos), Recorder()
    load = data.draw(st.sampled_from([IDLE, CROWDED, HURRIED]))

    async def main() -> None:
        job = job_of(stop, method=method, draft_tokens=data.draw(st.integers(1, 9)))
        await make_generation(job, seats_of(*targets, load=load), seats_of(*peers, limit_tokens=24), output).run()

    run_virtual(main())
    assert output.ids == expected(path, stop)
    for request in (request for target in targets for request in target.rounds if request.draft_ids):
        check_evidence(method, request.draft_ids, request.evidence, len(TABLE))
        assert request.base.length + len(request.draft_ids) < max_tokens
        if isinstance(request.evidence, ProposalEvidence):
            assert request.draft_ids == tuple(position.ids[0] for position in request.evidence.positions)
    assert [peer.num_open for peer in peers] + [target.num_open for target in targets] == [0] * len([*peers, *targets])


@pytest.mark.parametrize("method", ID_METHODS)
def test_good_id_drafts_are_accepted_and_never_retokenised(method: Method) -> None:
    """A drafter that knows the target's own tokens, however they are cut, has every one of them accepted."""
    path = (300, 301, 302, 65, 66, 67, 310) * 20
    target, output = FakeVerifier(path, TABLE, step_ms=50.0), Recorder()

    async def main() -> None:
        job = job_of(StopConditions(100), method=method)
        await make_generation(job, seats_of(target), seats_of(FakeIdDrafter(path, TABLE)), output).run()

    run_virtual(main())
    assert output.ledger.accepted_tokens == output.ledger.drafted_tokens > 50


@pytest.mark.parametrize("method", ID_METHODS)
def test_a_drafter_that_lies_about_its_ids_is_banned(method: Method) -> None:
    """One wrong block ends it; the other drafter serves the session from then on."""
    path = tuple(tiny_tokenizer().encode_bytes(PROSE.encode())[:120])
    false, good = FalseIdDrafter(path, TABLE), FakeIdDrafter(path, TABLE)
    output = Recorder()

    async def main() -> None:
        job = job_of(StopConditions(100), method=method)
        await make_generation(job, seats_of(FakeVerifier(path, TABLE)), seats_of(false, good), output).run()

    run_virtual(main())
    assert (len(false.opened), len(good.opened), output.ids) == (1, 1, path[:100])
    assert output.ledger.accepted_tokens > 0


def test_the_vocabulary_is_registered_once() -> None:
    """A drafter that says NotFound is told the target's vocabulary, and opened again."""
    path = (300, 301, 302) * 20
    peer, output = FakeIdDrafter(path, TABLE, knows_vocabulary=False), Recorder()

    async def main() -> None:
        job = job_of(StopConditions(50), method=Method.TLI)
        await make_generation(job, seats_of(FakeVerifier(path, TABLE)), seats_of(peer), output).run()

    run_virtual(main())
    assert (peer.registered, len(peer.opened)) == ([TABLE.digest], 2)
    assert output.ledger.accepted_tokens > 0
