"""The generation loop against every kind of drafter and every mishap: the text is the target's own, always."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.core.endpoint import LoadReport
from draftmesh.core.errors import DraftmeshError, ExhaustedError, InternalError, UnavailableError
from draftmesh.core.sampling import FinishReason, StopConditions
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
    text_of,
    tiny_tokenizer,
)
from tests.helpers.peers.text_drafters import FakeDrafter, FloodingDrafter, LyingDrafter, MalformedDrafter
from tests.helpers.peers.verifier import FakeVerifier
from tests.helpers.peers.wire import Faults
from tests.helpers.virtual_time import run_virtual

Scene = tuple[tuple[int, ...], StopConditions, list[FakeVerifier], list[FakeDrafter], int, LoadReport]
DRAFTERS = (FakeDrafter, LyingDrafter, FloodingDrafter, MalformedDrafter)


@st.composite
def paths(draw: st.DrawFn) -> tuple[int, ...]:
    """What the target says: natural tokens or any tokens at all, and perhaps its end."""
    table = tiny_tokenizer()
    start = draw(st.integers(0, 60))
    natural = table.encode_bytes(PROSE[start : start + draw(st.integers(1, 120))].encode())
    odd = draw(st.lists(st.integers(0, len(table.vocabulary) - 1), max_size=10))
    ids = draw(st.permutations([natural, odd])) if draw(st.booleans()) else [natural]
    ending = [eos_id()] if draw(st.booleans()) else []
    return tuple(token for part in ids for token in part) + tuple(ending)


@st.composite
def drafters(draw: st.DrawFn, path: tuple[int, ...]) -> FakeDrafter:
    """Any drafter: right, wrong, slow, silent, dying, lying, flooding, malformed."""
    kind = draw(st.sampled_from(DRAFTERS))
    return kind(
        text_of(path),
        accuracy=draw(st.sampled_from([0.0, 0.5, 0.9, 1.0])),
        token_ms=draw(st.sampled_from([0.5, 3.0, 40.0, 400.0])),
        silent=draw(st.booleans()) and draw(st.booleans()),
        branches=draw(st.sampled_from([0, 3])),
        faults=Faults(
            open_errors=draw(st.lists(st.sampled_from([None, UnavailableError("full"), ExhaustedError("full")]))),
            lifetimes=draw(st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=3)),
            repeat_rate=draw(st.sampled_from([0.0, 0.3])),
        ),
        seed=draw(st.integers(0, 1 << 16)),
    )


@st.composite
def verifiers(draw: st.DrawFn, path: tuple[int, ...]) -> FakeVerifier:
    """Any verifier of the same target: fast, slow, dying, repeating itself."""
    errors = st.sampled_from([None, UnavailableError("gone"), ExhaustedError("full"), InternalError("bug")])
    return FakeVerifier(
        path,
        tiny_tokenizer().vocabulary,
        step_ms=draw(st.sampled_from([5.0, 100.0])),
        flush_rate=draw(st.sampled_from([1.0, 0.3])),
        faults=Faults(
            open_errors=draw(st.lists(errors, max_size=2)),
            lifetimes=draw(st.lists(st.integers(1, 8), max_size=2)),
            repeat_rate=draw(st.sampled_from([0.0, 0.3])),
        ),
        seed=draw(st.integers(0, 1 << 16)),
    )


@st.composite
def scenes(
    draw: st.DrawFn,
) -> Scene:
    """A target, stop conditions, services, draft tokens of a round, and the load that verifiers tell of."""
    path = draw(paths())
    text = text_of(path)
    start = draw(st.integers(0, max(0, len(text) - 1)))
    stops = [text[start : start + draw(st.integers(1, 6))]] if draw(st.booleans()) and text else []
    stop = StopConditions(max_tokens=draw(st.integers(1, 60)), stop=tuple(stops), ignore_eos=draw(st.booleans()))
    return (
        path,
        stop,
        draw(st.lists(verifiers(path), min_size=1, max_size=2)),
        draw(st.lists(drafters(path), max_size=2)),
        draw(st.integers(0, 9)),
        draw(st.sampled_from([IDLE, CROWDED, HURRIED])),
    )


def expected(path: tuple[int, ...], stop: StopConditions) -> tuple[tuple[int, ...], bytes, FinishReason | None]:
    """What the target says alone."""
    endless = (path * (stop.max_tokens // len(path) + 1))[: stop.max_tokens]
    settled = StopTracker(stop, tiny_tokenizer().vocabulary).settle(endless)
    return settled.tokens, text_of(settled.tokens)[: settled.text_length], settled.finish_reason


def num_open(verifier_list: list[FakeVerifier], drafter_list: list[FakeDrafter]) -> int:
    """Streams that are open."""
    return sum(peer.num_open for peer in verifier_list) + sum(peer.num_open for peer in drafter_list)


@settings(max_examples=300, deadline=None)
@given(scenes())
def test_text_is_the_targets_own(scene: Scene) -> None:
    """Whatever drafters and verifiers do, tokens, text and finish reason are those of the target alone."""
    path, stop, verifier_list, drafter_list, draft_tokens, load = scene
    output = Recorder()

    async def main() -> None:
        drafter_seats = seats_of(*drafter_list, limit_tokens=24) if drafter_list else None
        job = job_of(stop, draft_tokens=draft_tokens)
        await make_generation(job, seats_of(*verifier_list, load=load), drafter_seats, output).run()

    run_virtual(main())
    assert (output.ids, output.text, output.finish_reason) == expected(path, stop)
    assert num_open(verifier_list, drafter_list) == 0
    assert output.ledger.committed_tokens == len(output.ids)
    assert output.ledger.accepted_tokens <= output.ledger.drafted_tokens


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_shown_text_never_shrinks_or_changes(scene: Scene) -> None:
    """Pieces that a client is shown add up to the final text, and none is cut inside a character."""
    path, stop, verifier_list, drafter_list, draft_tokens, load = scene
    output = Recorder()

    async def main() -> None:
        job = job_of(stop, draft_tokens=draft_tokens)
        await make_generation(job, seats_of(*verifier_list, load=load), seats_of(*drafter_list), output).run()

    run_virtual(main())
    lengths = [advance.ready_length for advance in output.advances]
    final = expected(path, stop)[1]
    assert lengths == sorted(lengths)
    assert lengths[-1] == len(final)
    pieces = [final[start:end] for start, end in pairwise([0, *lengths])]
    assert "".join(piece.decode(errors="replace") for piece in pieces) == final.decode(errors="replace")


@settings(max_examples=60, deadline=None)
@given(scenes(), st.floats(0.0, 3.0), st.integers(0, 1 << 16))
def test_cancelling_frees_everything(scene: Scene, after_s: float, seed: int) -> None:
    """However far a session is when it is cancelled, no stream stays open."""
    _, stop, verifier_list, drafter_list, draft_tokens, load = scene
    pause_s = after_s * Random(seed).random()

    async def main() -> None:
        job = job_of(stop, draft_tokens=draft_tokens)
        generation = make_generation(job, seats_of(*verifier_list, load=load), seats_of(*drafter_list), Recorder())
        task = asyncio.create_task(generation.run())
        await asyncio.sleep(pause_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert num_open(verifier_list, drafter_list) == 0

    run_virtual(main())


def test_a_lasting_failure_ends_the_session() -> None:
    """When no verifier works for longer than the patience, the session fails with the verifier's own error."""
    verifier = FakeVerifier((5, 6, 7), tiny_tokenizer().vocabulary, faults=Faults([UnavailableError("gone")] * 1000))

    async def main() -> float:
        with pytest.raises(DraftmeshError, match="gone"):
            await make_generation(job_of(), seats_of(verifier), None, Recorder()).run()
        return asyncio.get_running_loop().time()

    assert 5.0 <= run_virtual(main()) <= 11.0
