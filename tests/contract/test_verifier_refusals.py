"""Bad input over real gRPC: each kind ends its stream with its status, and the verifier serves on unharmed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import grpc
import pytest

from draftmesh.core.errors import ExhaustedError, FencedError, StateError
from draftmesh.core.evidence import ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import PsiReply, VerifyOpen, VerifyRound
from draftmesh.transport.codec_verify import verify_request_to_proto
from draftmesh.v1 import verifier_pb2, verifier_pb2_grpc
from tests.helpers.verifier_bench import CONFIG, VerifierBench, opening, verifier_bench

START = TokenPrefix()
Request = verifier_pb2.VerifyRequest


def first(**changes: object) -> list[Request]:
    """An Open with some fields changed."""
    return [wire(dataclasses.replace(opening(), **changes))]  # type: ignore[arg-type]


def sampled(**changes: float) -> list[Request]:
    """An Open with some sampling parameters."""
    return first(sampling=SamplingParams(**changes))  # type: ignore[arg-type]


def then(*messages: VerifyOpen | VerifyRound | PsiReply) -> list[Request]:
    """A good Open, and more."""
    return [wire(opening()), *map(wire, messages)]


def of_method(method: Method, *messages: VerifyRound | PsiReply) -> list[Request]:
    """A good Open of a method, and more."""
    return [wire(opening(method=method)), *map(wire, messages)]


def unknown_method() -> list[Request]:
    """An Open with a method of the future."""
    request = wire(opening())
    request.open.method = 99  # type: ignore[assignment]  # the wire takes any number
    return [request]


def table(ids: tuple[int, ...], weights: tuple[float, ...]) -> ProposalEvidence:
    """The distribution of one proposal."""
    return ProposalEvidence((SparseDistribution(ids, weights),))


def wire(message: VerifyOpen | VerifyRound | PsiReply, fence: Fence | None = None) -> Request:
    """A message as it travels."""
    return verify_request_to_proto(message, fence or Fence())


async def ending(bench: VerifierBench, requests: Sequence[Request]) -> grpc.StatusCode:
    """The status that a stream of these requests ends with."""
    async with grpc.aio.insecure_channel(
        bench.running.address, options=[("grpc.max_send_message_length", -1)]
    ) as channel:
        call = verifier_pb2_grpc.VerifierServiceStub(channel).Verify(timeout=30)
        try:
            for request in requests:
                await call.write(request)
            async for _ in call:
                pass
        except grpc.aio.AioRpcError as error:
            return error.code()
        return await call.code()


LONG = 257
REFUSED: dict[str, tuple[Callable[[], list[Request]], grpc.StatusCode]] = {
    "empty prompt": (lambda: first(prompt_ids=()), grpc.StatusCode.INVALID_ARGUMENT),
    "prompt longer than the context": (lambda: first(prompt_ids=(1,) * LONG), grpc.StatusCode.INVALID_ARGUMENT),
    "prompt and max_tokens longer": (lambda: first(prompt_ids=(1,) * 220), grpc.StatusCode.INVALID_ARGUMENT),
    "prompt id outside the vocabulary": (lambda: first(prompt_ids=(1, 1 << 20)), grpc.StatusCode.INVALID_ARGUMENT),
    "padding row as a prompt id": (lambda: first(prompt_ids=(701,)), grpc.StatusCode.INVALID_ARGUMENT),
    "committed id outside the vocabulary": (lambda: first(committed_ids=(9999,)), grpc.StatusCode.INVALID_ARGUMENT),
    "all tokens committed": (lambda: first(committed_ids=(1,) * 40), grpc.StatusCode.INVALID_ARGUMENT),
    "negative temperature": (lambda: sampled(temperature=-0.1), grpc.StatusCode.INVALID_ARGUMENT),
    "temperature not a number": (lambda: sampled(temperature=math.nan), grpc.StatusCode.INVALID_ARGUMENT),
    "infinite penalty": (lambda: sampled(presence_penalty=math.inf), grpc.StatusCode.INVALID_ARGUMENT),
    "top_p 0": (lambda: sampled(top_p=0.0), grpc.StatusCode.INVALID_ARGUMENT),
    "min_p 1": (lambda: sampled(min_p=1.0), grpc.StatusCode.INVALID_ARGUMENT),
    "too many logprobs": (lambda: sampled(logprobs=21), grpc.StatusCode.INVALID_ARGUMENT),
    "max_tokens over the limit": (lambda: [wire(opening(max_tokens=LONG))], grpc.StatusCode.INVALID_ARGUMENT),
    "empty stop string": (lambda: [wire(opening(stop=(b"",)))], grpc.StatusCode.INVALID_ARGUMENT),
    "short noise key": (lambda: first(noise_key=NoiseKey(b"short")), grpc.StatusCode.INVALID_ARGUMENT),
    "unknown noise version": (lambda: first(noise_key=NoiseKey(bytes(16), 9)), grpc.StatusCode.UNIMPLEMENTED),
    "method that is none": (lambda: first(method=Method.AUTO), grpc.StatusCode.INVALID_ARGUMENT),
    "method that is unknown": (unknown_method, grpc.StatusCode.UNIMPLEMENTED),
    "another target": (lambda: first(target_digest=b"other"), grpc.StatusCode.FAILED_PRECONDITION),
    "no session id": (lambda: first(session_id=""), grpc.StatusCode.INVALID_ARGUMENT),
    "message without content": (lambda: [Request()], grpc.StatusCode.INVALID_ARGUMENT),
    "message of 33 MiB": (lambda: first(session_id="x" * (33 << 20)), grpc.StatusCode.RESOURCE_EXHAUSTED),
    "round before Open": (lambda: [wire(VerifyRound(1, START))], grpc.StatusCode.FAILED_PRECONDITION),
    "second Open": (lambda: then(opening()), grpc.StatusCode.ALREADY_EXISTS),
    "base beyond the sequence": (
        lambda: then(VerifyRound(1, TokenPrefix(1, 5), (1,))),
        grpc.StatusCode.OUT_OF_RANGE,
    ),
    "round numbers with a gap": (lambda: then(VerifyRound(2, START)), grpc.StatusCode.FAILED_PRECONDITION),
    "round 0": (lambda: then(VerifyRound(0, START)), grpc.StatusCode.INVALID_ARGUMENT),
    "round number used twice": (
        lambda: then(VerifyRound(1, START), VerifyRound(1, START, (3,))),
        grpc.StatusCode.FAILED_PRECONDITION,
    ),
    "draft id outside the vocabulary": (
        lambda: then(VerifyRound(1, START, (1, 701))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "draft too long": (lambda: then(VerifyRound(1, START, (1,) * 9)), grpc.StatusCode.INVALID_ARGUMENT),
    "draft where none is wanted": (
        lambda: [wire(opening(method=Method.OFF)), wire(VerifyRound(1, START, (1,)))],
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "too many rounds ahead": (
        lambda: [
            wire(opening(max_tokens=200)),
            wire(VerifyRound(1, START, free_run=200)),
            *(wire(VerifyRound(n, TokenPrefix(199, 7))) for n in range(2, 20)),
        ],
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ),
    "proposals without their distributions": (
        lambda: of_method(Method.TLI, VerifyRound(1, START, (1,))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "evidence of another method": (
        lambda: of_method(Method.REJECTION, VerifyRound(1, START, (1,), PsiEvidence((0.5,)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "evidence for a method that takes none": (
        lambda: then(VerifyRound(1, START, (1,), table((1,), (1.0,)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "evidence of fewer tokens": (
        lambda: of_method(Method.TLI, VerifyRound(1, START, (1, 1), table((1,), (1.0,)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "distribution of fewer weights": (
        lambda: of_method(Method.TLI, VerifyRound(1, START, (1,), table((1, 2), (1.0,)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "distribution without its own token": (
        lambda: of_method(Method.TLI, VerifyRound(1, START, (1,), table((2,), (1.0,)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "distribution with an id twice": (
        lambda: of_method(Method.TLI, VerifyRound(1, START, (1,), table((1, 1), (0.5, 0.5)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "distribution with an id outside the vocabulary": (
        lambda: of_method(Method.TLI, VerifyRound(1, START, (1,), table((1, 701), (0.5, 0.5)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "distribution that adds up to less": (
        lambda: of_method(Method.TLI, VerifyRound(1, START, (1,), table((1, 2), (0.5, 0.25)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "distribution with a weight that is no number": (
        lambda: of_method(Method.TLI, VerifyRound(1, START, (1,), table((1, 2), (1.0, math.nan)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "distribution with a negative weight": (
        lambda: of_method(Method.TLI, VerifyRound(1, START, (1,), table((1, 2), (1.5, -0.5)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "block without its ψ": (
        lambda: of_method(Method.SLRS, VerifyRound(1, START, (1,))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "ψ of 0": (
        lambda: of_method(Method.SLRS, VerifyRound(1, START, (1,), PsiEvidence((0.0,)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "ψ above 1": (
        lambda: of_method(Method.SLRS, VerifyRound(1, START, (1,), PsiEvidence((1.1,)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "ψ that is no number": (
        lambda: of_method(Method.SLRS, VerifyRound(1, START, (1,), PsiEvidence((math.nan,)))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "free run after a block": (
        lambda: of_method(Method.SLRS, VerifyRound(1, START, (1,), PsiEvidence((0.5,)), 3)),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "answer to a question that was never asked": (
        lambda: of_method(Method.SLRS, VerifyRound(1, START, (), PsiEvidence((), missing_next=True)), PsiReply(9, ())),
        grpc.StatusCode.FAILED_PRECONDITION,
    ),
    "answer to no question": (lambda: then(PsiReply(1, (0.5,))), grpc.StatusCode.FAILED_PRECONDITION),
    "message of another fence": (
        lambda: [wire(opening()), wire(VerifyRound(1, START), Fence(1, 2))],
        grpc.StatusCode.ABORTED,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_bad_input_is_refused(name: str) -> None:
    """Each kind of bad input ends its stream with its status, frees all, and the verifier answers others as before."""
    requests, code = REFUSED[name]
    async with verifier_bench() as bench:
        before = (await bench.alone(opening(max_tokens=5))).ids
        assert await ending(bench, requests()) is code
        assert (await bench.alone(opening(max_tokens=5))).ids == before
        assert await bench.free_blocks_at_rest() == bench.running.stats.total_blocks


async def test_wrong_target_is_named() -> None:
    """Who opens a session of another target is told both digests."""
    async with verifier_bench() as bench:
        with pytest.raises(StateError, match=f"{b'other'.hex()}.*{bench.running.info.target_digest.hex()}"):
            await bench.alone(opening(target_digest=b"other"))


async def test_full_verifier_says_when_to_come_back() -> None:
    """A session too many is refused with a hint; the place of one that has gone is free again."""
    config = dataclasses.replace(CONFIG, max_sessions=1, retry_after_ms=70)
    async with verifier_bench(config) as bench:
        async with bench.session(opening()):
            with pytest.raises(ExhaustedError) as caught:
                await bench.alone(opening())
            assert caught.value.retry_after_ms == 70
        await bench.until_idle()
        await bench.alone(opening(max_tokens=1))


async def test_older_stream_of_a_session_is_closed() -> None:
    """A stream with a higher fence takes the session over, even on a full verifier; the older one ends ABORTED."""
    async with verifier_bench(dataclasses.replace(CONFIG, max_sessions=1)) as bench:
        older, newer = (opening(session_id="one", fence=Fence(1, attempt)) for attempt in (1, 2))
        async with bench.session(older) as first_stream, bench.session(newer) as second_stream:
            with pytest.raises(FencedError):
                await first_stream.hear()
            await second_stream.judge()
        with pytest.raises(FencedError):
            async with bench.session(older):
                pass
