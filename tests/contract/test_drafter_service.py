"""The rules of DrafterService behind real gRPC on loopback, with a drafter that needs no model."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from draftmesh.core.draft import Commit, DraftOpen, Evaluate
from draftmesh.core.errors import (
    AlreadyOpenError,
    DraftmeshError,
    ExhaustedError,
    FencedError,
    InvalidRequestError,
    NotFoundError,
    StateError,
    UnavailableError,
    UnsupportedError,
    UnsupportedMethodError,
)
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import Method, NoiseKey
from draftmesh.core.text import Role, TextPrefix
from draftmesh.drafter.app import Running, running
from draftmesh.drafter.config import DrafterConfig
from draftmesh.tokenization.vocabulary import Vocabulary
from draftmesh.transport.codec_draft import draft_request_to_proto, draft_response_from_proto
from draftmesh.transport.peers import GrpcDrafter
from draftmesh.transport.status import translated_errors
from draftmesh.v1 import drafter_pb2, drafter_pb2_grpc
from tests.helpers.fakes_drafter import draft_open, items_of, until_paused
from tests.helpers.tokenizers import small_tokenizer

TEXT = b"one two three four five six seven; one two"
CONFIG = DrafterConfig(kind="ngram", listen="127.0.0.1:0", max_sessions=2, drain_grace_s=0.0)


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    """A drafter without a model."""
    async with running(CONFIG) as server:
        yield server


@pytest.fixture
async def drafter(server: Running) -> AsyncIterator[GrpcDrafter]:
    """A client of it."""
    async with GrpcDrafter(server.address) as client:
        yield client


async def exchange(address: str, requests: Sequence[drafter_pb2.DraftRequest]) -> list[object]:
    """Send raw requests, then everything that is answered until the stream ends; raises what it ends with."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = drafter_pb2_grpc.DrafterServiceStub(channel).Draft(iter(requests), timeout=10)
        with translated_errors("drafter"):
            return [draft_response_from_proto(response) async for response in call]


def wire(message: DraftOpen | Commit | Evaluate, fence: Fence | None = None) -> drafter_pb2.DraftRequest:
    """One request."""
    return draft_request_to_proto(message, fence or Fence())


async def test_open_is_answered_with_what_applies(drafter: GrpcDrafter) -> None:
    """The answer to Open has the drafter's digest and the limit that it applies."""
    info = await drafter.info()
    async with drafter.open(draft_open(TEXT, max_ahead_tokens=1000)) as stream:
        assert (stream.opened.drafter_digest, stream.opened.max_ahead_tokens) == (info.digest, CONFIG.max_ahead_tokens)
        assert not stream.pauses_when_unsure  # an index has no probabilities


async def test_no_limit_means_the_default(drafter: GrpcDrafter) -> None:
    """A session that asks for no limit gets the configured one."""
    async with drafter.open(draft_open(TEXT, max_ahead_tokens=0)) as stream:
        assert len(items_of(await until_paused(stream))) == CONFIG.default_ahead_tokens


async def test_drafts_and_follows_commits(drafter: GrpcDrafter) -> None:
    """Drafts what followed before; a commit that agrees makes room for more."""
    async with drafter.open(draft_open(TEXT, max_ahead_tokens=2)) as stream:
        drafted = items_of(await until_paused(stream))
        await stream.send(Commit(1, 0, (b" three fo",)))
        drafted += items_of(await until_paused(stream, 1))
    assert drafted == [b" three", b" four", b" five"]


async def test_no_match_is_said(drafter: GrpcDrafter) -> None:
    """Without anything to propose the coordinator is told at once."""
    async with drafter.open(draft_open(b"nothing twice")) as stream:
        blocks = await until_paused(stream)
    assert [(block.items, block.start) for block in blocks] == [((), TextPrefix())]


def unsure(least_confidence: float) -> drafter_pb2.DraftRequest:
    """A commit that asks for a draft of this confidence."""
    request = wire(Commit(1, 0, (b"x",)))
    request.commit.least_confidence = least_confidence
    return request


OPEN = draft_open(TEXT)
BAD_STREAMS = {
    "nothing": ([], StateError),
    "commit before open": ([wire(Commit(1, 0, (b"x",)))], StateError),
    "second open": ([wire(OPEN), wire(OPEN)], AlreadyOpenError),
    "gap in commit_seq": ([wire(OPEN), wire(Commit(2, 0, (b"x",)))], StateError),
    "repeated commit_seq": ([wire(OPEN), wire(Commit(1, 0, (b"x",))), wire(Commit(1, 1, (b"x",)))], StateError),
    "commit beyond the text": ([wire(OPEN), wire(Commit(1, 7, (b"x",)))], StateError),
    "commit before the text's end": (
        [wire(OPEN), wire(Commit(1, 0, (b"xy",))), wire(Commit(2, 1, (b"z",)))],
        StateError,
    ),
    "commit number 0": ([wire(OPEN), wire(Commit(0, 0, (b"x",)))], InvalidRequestError),
    "more than certain": ([wire(OPEN), unsure(1.5)], InvalidRequestError),
    "no number": ([wire(OPEN), unsure(math.nan)], InvalidRequestError),
    "evaluate": ([wire(OPEN), wire(Evaluate(1, TextPrefix(), ((1,),)))], UnsupportedMethodError),
    "method not offered": ([wire(draft_open(TEXT, method=Method.TLI))], UnsupportedMethodError),
    "method off": ([wire(draft_open(TEXT, method=Method.OFF))], UnsupportedMethodError),
    "unknown vocabulary": ([wire(draft_open(TEXT, target_vocabulary_digest=b"?"))], NotFoundError),
    "noise of the future": ([wire(draft_open(TEXT, noise_key=NoiseKey(bytes(16), version=99)))], UnsupportedError),
    "session without a name": ([wire(draft_open(TEXT, session_id=""))], InvalidRequestError),
    "no fence": ([drafter_pb2.DraftRequest(open=wire(OPEN).open)], InvalidRequestError),
    "an empty message": ([wire(OPEN), drafter_pb2.DraftRequest(fence=wire(OPEN).fence)], InvalidRequestError),
    "another fence on the stream": ([wire(OPEN), wire(Commit(1, 0, (b"x",)), Fence(1, 2))], FencedError),
}


@pytest.mark.parametrize("name", BAD_STREAMS)
async def test_bad_stream_is_refused(server: Running, name: str) -> None:
    """What is out of place ends the stream with the error of its kind."""
    requests, expected = BAD_STREAMS[name]
    with pytest.raises(DraftmeshError) as caught:
        await exchange(server.address, requests)
    assert type(caught.value) is expected


async def test_half_closed_stream_ends_without_error(server: Running) -> None:
    """When the coordinator has no more to say, the stream ends in good order."""
    assert len(await exchange(server.address, [wire(OPEN)])) == 2


async def test_newer_fence_ends_the_older_stream(drafter: GrpcDrafter) -> None:
    """Of two streams for a session the one with the higher fence goes on."""
    async with drafter.open(OPEN) as older:
        await until_paused(older)
        async with drafter.open(draft_open(TEXT, fence=Fence(2, 1))) as newer:
            await until_paused(newer)
            with pytest.raises(FencedError):
                await older.receive()


async def test_older_fence_is_refused(drafter: GrpcDrafter) -> None:
    """A stream with a fence below one already seen is not opened."""
    async with drafter.open(draft_open(TEXT, fence=Fence(2, 1))):
        with pytest.raises(FencedError):
            async with drafter.open(OPEN):
                pass


async def test_full_drafter_says_when_to_come_back(drafter: GrpcDrafter) -> None:
    """Over the limit a session is refused with a hint."""
    async with drafter.open(draft_open(TEXT, session_id="a")), drafter.open(draft_open(TEXT, session_id="b")):
        with pytest.raises(ExhaustedError) as caught:
            async with drafter.open(draft_open(TEXT, session_id="c")):
                pass
    assert caught.value.retry_after_ms == CONFIG.retry_after_ms


async def test_watch_follows_sessions(drafter: GrpcDrafter) -> None:
    """A watcher sees a session come and go."""
    loads = aiter(drafter.watch())
    seen = [(await anext(loads)).active_sessions]
    async with drafter.open(OPEN):
        seen.append((await anext(loads)).active_sessions)
    seen.append((await anext(loads)).active_sessions)
    assert seen == [0, 1, 0]


async def test_drain_tells_everyone(server: Running, drafter: GrpcDrafter) -> None:
    """On the way out open streams hear of it, watchers too, and new sessions are refused."""
    loads = aiter(drafter.watch())
    async with drafter.open(OPEN) as stream:
        await until_paused(stream)
        draining = asyncio.create_task(server.server.drain(grace_s=5.0))
        while not (await anext(loads)).draining:
            pass
        with pytest.raises(UnavailableError):
            async with drafter.open(draft_open(TEXT, session_id="late")):
                pass
        await stream.send(Commit(1, 0, (b" three",)))
        await until_paused(stream, 1)
        assert stream.draining
    await draining


async def test_health_is_served(server: Running) -> None:
    """The standard health service says that the drafter serves."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        request = health_pb2.HealthCheckRequest(service="draftmesh.v1.DrafterService")
        answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_vocabulary_with_a_false_digest_is_refused(drafter: GrpcDrafter) -> None:
    """The digest is checked against the tokens."""
    with pytest.raises(InvalidRequestError, match="digest"):
        await drafter.register_vocabulary(bytes(32), small_tokenizer("gpt2").vocabulary)


async def test_vocabulary_with_holes_can_be_registered(drafter: GrpcDrafter) -> None:
    """Ids without a token keep apart from special tokens on the wire, so that the digest is that of the content."""
    vocabulary = Vocabulary([b"a", b"", b"</s>", b"<x>", b"", b"bc"], {2: Role.EOS}, special={3})
    assert await drafter.register_vocabulary(vocabulary.digest, vocabulary) == 2


@pytest.mark.parametrize("name", ["gpt2", "qwen", "llama2", "gemma"])
async def test_registered_vocabulary_can_be_named(drafter: GrpcDrafter, name: str) -> None:
    """A session may name a vocabulary once it is registered."""
    vocabulary = small_tokenizer(name).vocabulary
    shared = await drafter.register_vocabulary(vocabulary.digest, vocabulary)
    async with drafter.open(draft_open(TEXT, target_vocabulary_digest=vocabulary.digest)) as stream:
        await until_paused(stream)
    assert shared == sum(bool(vocabulary.token_bytes(token)) for token in range(len(vocabulary)))


async def test_drafter_without_a_tokenizer_serves_none(drafter: GrpcDrafter) -> None:
    """There are no files to serve."""
    assert await drafter.tokenizer_files() == ()


async def test_roles_in_commits_are_taken(drafter: GrpcDrafter) -> None:
    """A committed role has no bytes, and the next commit's offset counts none."""
    async with drafter.open(OPEN) as stream:
        await stream.send(Commit(1, 0, (b" three", Role.END_OF_TURN)))
        await stream.send(Commit(2, 6, (b"one two",)))
        blocks = await until_paused(stream, 2)
    assert blocks[-1].start.length == 13
