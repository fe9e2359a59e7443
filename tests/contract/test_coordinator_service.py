"""CoordinatorService over real gRPC, with fake drafters and verifiers behind it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest

from draftmesh.client import GenerateOptions
from draftmesh.coordinator.admission import AdmissionConfig
from draftmesh.coordinator.methods.choice import MethodChoiceConfig
from draftmesh.coordinator.replicas import Membership
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.errors import (
    DraftmeshError,
    ExhaustedError,
    InvalidRequestError,
    InvalidTextError,
    InvalidTokenError,
    PromptEmptyError,
    PromptTooLongError,
    UnavailableError,
    UnknownModelError,
    UnknownSessionError,
    UnsupportedError,
    UnsupportedMethodError,
)
from draftmesh.core.sampling import FinishReason, Method
from draftmesh.transport.status import translated_errors
from draftmesh.v1 import common_pb2, coordinator_pb2, coordinator_pb2_grpc
from tests.helpers.coordinator_bench import (
    CONFIG,
    PATH,
    Scene,
    coordinator_scene,
    fake_drafter,
    fake_id_drafter,
    fake_verifier,
    until_members,
    until_ready,
)
from tests.helpers.generation_bench import eos_id, text_of, tiny_tokenizer
from tests.helpers.peers.text_drafters import FakeDrafter
from tests.helpers.peers.verifier import FakeVerifier
from tests.helpers.peers.wire import Faults

WHOLE = text_of(PATH[:60])


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """One drafter, one verifier."""
    async with coordinator_scene(fake_drafter(), fake_verifier()) as scene:
        yield scene


async def answers(scene: Scene, request: coordinator_pb2.GenerateRequest) -> list[coordinator_pb2.GenerateResponse]:
    """Everything that one Generate call says; raises what it ends with."""
    async with grpc.aio.insecure_channel(scene.shard.address) as channel:
        stub = coordinator_pb2_grpc.CoordinatorServiceStub(channel)
        with translated_errors("coordinator"):
            return [response async for response in stub.Generate(request, timeout=20)]


def text_request(**fields: object) -> coordinator_pb2.GenerateRequest:
    """A request with a text prompt and 60 tokens, unless ``fields`` say otherwise."""
    fields = {"text": b"The ", "stop": common_pb2.StopConditions(max_tokens=60), **fields}
    return coordinator_pb2.GenerateRequest(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["off", "exact", "auto"])
async def test_every_method_gives_the_targets_text(scene: Scene, method: str) -> None:
    """Text, tokens and finish reason are the target's, drafted or not."""
    result = await scene.generate(method=method)
    expected = (WHOLE, PATH[:60], FinishReason.LENGTH, 60)
    assert (result.data, result.token_ids, result.finish_reason, result.completion_tokens) == expected


async def test_a_stream_begins_with_started_and_ends_with_finished(scene: Scene) -> None:
    """The first message names the session and its method, the last one has the books."""
    responses = await answers(scene, text_request())
    kinds = [response.WhichOneof("message") for response in responses]
    assert (kinds[0], set(kinds[1:-1]), kinds[-1]) == ("started", {"chunk"}, "finished")
    started, finished = responses[0].started, responses[-1].finished
    assert started.method == common_pb2.METHOD_EXACT
    assert started.prompt_tokens == len(tiny_tokenizer().encode_prompt("The "))
    assert finished.ledger.committed_bytes == len(WHOLE)
    assert finished.ledger.committed_tokens == 60


async def test_chunks_join_without_gaps(scene: Scene) -> None:
    """Each chunk starts where the one before ended, and its tokens are those committed since."""
    chunks = [response.chunk for response in await answers(scene, text_request()) if response.HasField("chunk")]
    ends = [chunk.offset + len(chunk.text) for chunk in chunks]
    assert [chunk.offset for chunk in chunks] == [0, *ends[:-1]]
    assert tuple(token.id for chunk in chunks for token in chunk.tokens) == PATH[:60]


async def test_drafted_tokens_are_marked(scene: Scene) -> None:
    """The origin of tokens says which were drafted, as many as the ledger says were accepted."""
    result = await scene.generate(method="exact", max_tokens=100)
    assert sum(token.drafted for token in result.tokens) == result.ledger.accepted_tokens > 0


async def test_auto_is_off_without_a_drafter() -> None:
    """No drafter is ready: auto decodes without drafting, and says so."""
    async with coordinator_scene(fake_verifier()) as scene:
        assert (await scene.generate(method="auto")).method == "off"


def every_method(*peers: FakeDrafter | FakeVerifier) -> tuple[FakeDrafter | FakeVerifier, ...]:
    """The same peers, which now offer every method."""
    for peer in peers:
        peer.methods = tuple(method for method in Method if method is not Method.AUTO)
    return peers


@pytest.mark.parametrize("method", ["tli", "slrs"])
async def test_ratio_methods_are_refused_where_drafters_are_not_trusted(method: str) -> None:
    """The error says what to do; a pool that the configuration trusts serves them."""
    peers = every_method(fake_id_drafter(), fake_verifier())
    async with coordinator_scene(*peers) as scene:
        with pytest.raises(UnsupportedMethodError, match="not trusted"):
            await scene.generate(method=method)
    async with coordinator_scene(*peers, config=replace(CONFIG, trust_drafters=True)) as scene:
        result = await scene.generate(method=method)
        assert (result.data, result.method, result.ledger.accepted_tokens > 0) == (WHOLE, method, True)


async def test_rejection_needs_a_drafter_of_the_same_vocabulary() -> None:
    """Where none has it the error says so; where one has, it is the one that is asked."""
    other, same = fake_id_drafter(), fake_id_drafter()
    same.vocabulary_digest = tiny_tokenizer().vocabulary.digest
    config = replace(CONFIG, trust_drafters=True)
    async with coordinator_scene(*every_method(other, fake_verifier()), config=config) as scene:
        with pytest.raises(UnsupportedMethodError, match="the target's own vocabulary"):
            await scene.generate(method="rejection")
    async with coordinator_scene(*every_method(other, same, fake_verifier()), config=config) as scene:
        result = await scene.generate(method="rejection")
        assert (result.data, other.opened, len(same.opened)) == (WHOLE, [], 1)


async def test_auto_learns_from_what_it_has_tried() -> None:
    """Every way is tried; with a drafter that is never right and slows the target down, off is what remains."""
    target = fake_verifier(judging_ms=100.0)  # so much that no pause of a busy machine makes up for it
    pace = replace(CONFIG.generation.pace, min_wait_ms=10_000.0)  # nor does a drafter that is found too late
    generation = replace(CONFIG.generation, pace=pace)
    config = replace(CONFIG, generation=generation, method_choice=MethodChoiceConfig(trials=1))
    async with coordinator_scene(fake_drafter(accuracy=0.0), target, config=config) as scene:
        methods = [(await scene.generate(method="auto", max_tokens=30)).method for _ in range(6)]
    assert methods == ["exact", *["off"] * 5]


async def test_with_a_seed_auto_keeps_to_methods_of_the_same_text() -> None:
    """What the choice was does not show in a text that the client has fixed."""
    config = replace(CONFIG, trust_drafters=True, method_choice=MethodChoiceConfig(trials=1))
    peers = every_method(fake_id_drafter(), fake_verifier())
    async with coordinator_scene(*peers, config=config) as scene:
        seeded = {(await scene.generate(method="auto", seed=1)).method for _ in range(6)}
        free = {(await scene.generate(method="auto")).method for _ in range(6)}
    assert seeded == {"exact", "off", "tli-exact"}
    assert "tli" in free


async def test_exact_without_a_drafter_goes_on_alone() -> None:
    """A session that wants drafts never waits for a drafter that is not there."""
    async with coordinator_scene(fake_verifier()) as scene:
        result = await scene.generate(method="exact")
        assert (result.data, result.method, result.ledger.rounds) == (WHOLE, "exact", 0)


async def test_text_ends_before_a_stop_string(scene: Scene) -> None:
    """A stop string is never shown, not even its first bytes."""
    result = await scene.generate(stop=("dispos",))
    assert result.data == WHOLE[: WHOLE.index(b"dispos")]
    assert result.finish_reason is FinishReason.STOP


async def test_the_end_token_ends_the_text() -> None:
    """The target's end token finishes the generation and adds nothing to its text."""
    verifier = fake_verifier()
    verifier.path = (*PATH[:20], eos_id())
    async with coordinator_scene(fake_drafter(), verifier) as scene:
        result = await scene.generate()
        expected = (text_of(PATH[:20]), FinishReason.EOS, 21)
        assert (result.data, result.finish_reason, result.completion_tokens) == expected


async def test_prompt_ids_are_used_as_they_are(scene: Scene) -> None:
    """A prompt of ids reaches the verifier unchanged."""
    await answers(scene, text_request(ids=common_pb2.TokenIds(ids=[7, 8, 9])))
    assert scene.verifiers["verifier:2"].opened[-1].prompt_ids == (7, 8, 9)


async def test_max_tokens_defaults_to_what_the_context_has_room_for() -> None:
    """Without max_tokens the default applies, cut to the context."""
    verifier = fake_verifier()
    verifier.max_context_tokens = 40
    async with coordinator_scene(verifier) as scene:
        await answers(scene, text_request(ids=common_pb2.TokenIds(ids=[7] * 15), stop=common_pb2.StopConditions()))
        assert verifier.opened[-1].stop.max_tokens == 25


NAN = common_pb2.Sampling(temperature=math.nan)
LONG = common_pb2.TokenIds(ids=[7] * 4096)
CHAT = common_pb2.Conversation(messages=[common_pb2.ChatMessage(role="user", content="hello")])
RESUME = coordinator_pb2.Resume


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"text": b""}, PromptEmptyError, "prompt"),
        ({"ids": common_pb2.TokenIds()}, PromptEmptyError, "prompt"),
        ({"text": b"caf\xe9"}, InvalidTextError, "not UTF-8 at byte 3"),
        ({"ids": common_pb2.TokenIds(ids=[1, 60_000])}, InvalidTokenError, "60000"),
        ({"ids": LONG}, PromptTooLongError, "4096"),
        ({"stop": common_pb2.StopConditions(max_tokens=4096)}, PromptTooLongError, "context of 4096"),
        ({"stop": common_pb2.StopConditions(max_tokens=1 << 31)}, InvalidRequestError, "max_tokens"),
        ({"stop": common_pb2.StopConditions(stop=[b""])}, InvalidRequestError, "stop string"),
        ({"stop": common_pb2.StopConditions(stop=[b"\xff"])}, InvalidTextError, "stop string"),
        ({"model": "other"}, UnknownModelError, "served: fake-target"),
        ({"drafter": "other"}, UnknownModelError, "there are: fake-drafter"),
        ({"method": common_pb2.METHOD_TLI}, UnsupportedMethodError, "do not offer method tli"),
        ({"method": 99}, UnsupportedMethodError, "99"),
        ({"sampling": NAN}, InvalidRequestError, "temperature"),
        ({"sampling": common_pb2.Sampling(temperature=-1)}, InvalidRequestError, "temperature"),
        ({"max_draft_tokens": 1000}, InvalidRequestError, "max_draft_tokens"),
        ({"conversation": CHAT}, UnsupportedError, "chat templates"),
        ({"resume": RESUME(session_id="nonsense")}, UnknownSessionError, "not a session id"),
        ({"resume": RESUME(session_id=f"s0-{'0' * 32}")}, UnknownSessionError, "unknown here"),
        ({"resume": RESUME(session_id=f"s7-{'0' * 32}")}, UnknownSessionError, "no shard 7"),
    ],
)
async def test_wrong_requests_are_refused_with_a_reason(
    scene: Scene, fields: dict[str, object], error: type[DraftmeshError], message: str
) -> None:
    """Every wrong request has its own error, and opens no stream."""
    with pytest.raises(error, match=message):
        await answers(scene, text_request(**fields))
    assert scene.verifiers["verifier:2"].opened == []


async def test_without_a_verifier_requests_are_refused() -> None:
    """No verifier has answered yet: the shard is there, but unavailable."""
    async with coordinator_scene(fake_drafter()) as scene:
        with pytest.raises(UnavailableError, match="no verifier"):
            await scene.generate()


async def test_a_cancelled_call_frees_everything() -> None:
    """The client leaves: drafter and verifier streams close, and the session counts as cancelled."""
    async with coordinator_scene(fake_drafter(), fake_verifier(step_ms=20.0)) as scene:
        async with scene.client.stream("The ", GenerateOptions(max_tokens=2000)) as stream:
            async for _ in stream:
                break
            session_id = stream.session_id
            live = scene.shard.shard.find_live(session_id)
        assert live is not None
        await live.ended()
        assert scene.open_streams == 0
        session = await scene.client.session(session_id)
        assert session.finish_reason is FinishReason.CANCELLED
        assert WHOLE.startswith(session.data[: len(WHOLE)])


async def test_a_session_can_be_cancelled_by_others() -> None:
    """CancelSession ends the stream with its reason; a second time there is nothing to cancel."""
    async with coordinator_scene(fake_drafter(), fake_verifier(step_ms=20.0)) as scene:
        async with scene.client.stream("The ", GenerateOptions(max_tokens=2000)) as stream:
            cancelled = []
            async for _ in stream:
                cancelled.append(await scene.client.cancel(stream.session_id))
            assert stream.result.finish_reason is FinishReason.CANCELLED
            assert cancelled[:2] in ([True], [True, False])
        assert await scene.client.cancel(stream.session_id) is False
        assert scene.open_streams == 0


async def test_a_finished_session_is_replayed_from_any_offset(scene: Scene) -> None:
    """Resume gives the rest of the text, the same tokens and the same books."""
    whole = await scene.generate()
    for offset in (0, 10, len(WHOLE)):
        async with scene.client.resume(whole.session_id, offset) as stream:
            data = b"".join([chunk.data async for chunk in stream])
        assert data == WHOLE[offset:]
        assert stream.result.ledger == whole.ledger
    async with scene.client.resume(whole.session_id, 0) as stream:
        assert [token async for chunk in stream for token in chunk.tokens] == list(whole.tokens)


async def test_an_offset_beyond_the_text_is_refused(scene: Scene) -> None:
    """Nobody can have received what was never sent."""
    whole = await scene.generate()
    with pytest.raises(InvalidRequestError, match="offset"):
        async with scene.client.resume(whole.session_id, len(WHOLE) + 1) as stream:
            _ = [chunk async for chunk in stream]


async def test_a_running_session_can_be_read_twice() -> None:
    """A second reader joins at its offset, reads to the end, and leaving early disturbs nobody."""
    async with coordinator_scene(fake_drafter(), fake_verifier(step_ms=5.0)) as scene:
        pieces = []
        async with scene.client.stream("The ", GenerateOptions(max_tokens=60)) as first:
            reading = None
            async for chunk in first:
                pieces.append(chunk.data)
                if reading is None:
                    reading = asyncio.create_task(read_all(scene, first.session_id, chunk.offset))
                    async with scene.client.resume(first.session_id, 0) as third:
                        await anext(aiter(third))
        assert b"".join(pieces) == WHOLE
        assert reading is not None
        assert await reading == WHOLE


async def read_all(scene: Scene, session_id: str, offset: int) -> bytes:
    """Everything from an offset on."""
    async with scene.client.resume(session_id, offset) as stream:
        return b"".join([chunk.data async for chunk in stream])


async def test_a_session_is_described_while_it_runs_and_afterwards() -> None:
    """GetSession knows shard, model, method, drafter and committed text."""
    async with coordinator_scene(fake_drafter(), fake_verifier(step_ms=10.0)) as scene:
        async with scene.client.stream("The ", GenerateOptions(max_tokens=60)) as stream:
            chunks = aiter(stream)
            await anext(chunks)
            running = await scene.client.session(stream.session_id)
            _ = [chunk async for chunk in chunks]
        ended = await scene.client.session(stream.session_id)
    assert (running.shard, running.model, running.method, running.finish_reason) == (0, "fake-target", "exact", None)
    assert WHOLE.startswith(running.data)
    assert (ended.data, ended.committed_tokens, ended.drafter) == (WHOLE, 60, "fake-drafter")
    assert ended.finish_reason is FinishReason.LENGTH


async def test_a_dying_verifier_is_replaced() -> None:
    """Sessions move to another verifier of the same target with what is committed; the text does not change."""
    dying = fake_verifier(faults=Faults(lifetimes=[3] * 40))
    async with coordinator_scene(dying, fake_drafter(), fake_verifier()) as scene:
        results = await asyncio.gather(*(scene.generate() for _ in range(6)))
        assert [result.data for result in results] == [WHOLE] * 6
        moved = [request for request in scene.verifiers["verifier:3"].opened if request.committed_ids]
        assert len(moved) == len(dying.opened) > 0


async def test_a_dying_drafter_changes_nothing() -> None:
    """The text goes on without the drafter, and with the next one."""
    dying = fake_drafter(faults=Faults(lifetimes=[3] * 40))
    async with coordinator_scene(dying, fake_verifier(step_ms=5.0)) as scene:
        result = await scene.generate(method="exact")
        assert result.data == WHOLE
        assert result.ledger.drafter_failures > 0


async def test_verifiers_of_another_target_are_not_asked() -> None:
    """The same name with other weights is another target: a session stays with the one that it began with."""
    other = fake_verifier(target_digest=b"other")
    dying = fake_verifier(faults=Faults(lifetimes=[3] * 400))
    async with coordinator_scene(dying, other, fake_verifier(faults=Faults(lifetimes=[4] * 400))) as scene:
        assert (await scene.generate()).data == WHOLE
        assert other.opened == []


async def test_a_draining_drafter_is_left() -> None:
    """A drafter that says it drains gets no new session, and its sessions move."""
    first, second = fake_drafter(), fake_drafter()
    async with coordinator_scene(first, second, fake_verifier(step_ms=10.0)) as scene:
        async with scene.client.stream("The ", GenerateOptions(max_tokens=60, method="exact")) as stream:
            chunks = aiter(stream)
            while first.num_open + second.num_open == 0:
                await anext(chunks)
            leaving, staying = (first, second) if first.num_open else (second, first)
            leaving.reports.say(LoadReport(draining=True, max_sessions=8))
            rest = [chunk async for chunk in chunks]
        assert rest
        assert stream.result.data == WHOLE
        assert (leaving.num_open, len(staying.opened)) == (0, 1)


async def test_a_full_shard_says_when_to_come_back() -> None:
    """Sessions and queue are bounded; beyond them requests are refused with a hint."""
    admission = AdmissionConfig(max_sessions=1, max_waiting=0, retry_after_ms=321)
    async with coordinator_scene(fake_verifier(step_ms=20.0), config=replace(CONFIG, admission=admission)) as scene:
        async with scene.client.stream("The ", GenerateOptions(max_tokens=2000)) as stream:
            await anext(aiter(stream))
            with pytest.raises(ExhaustedError) as refusal:
                await scene.generate()
        assert refusal.value.retry_after_ms == 321


async def test_pools_are_listed(scene: Scene) -> None:
    """ListPools shows every member, ready, with what this shard's sessions did there."""
    await scene.generate(method="exact")
    members = {member.address: member for member in await scene.client.pools()}
    assert {address: (m.kind, m.model, m.ready) for address, m in members.items()} == {
        "drafter:1": ("drafter", "fake-drafter", True),
        "verifier:2": ("verifier", "fake-target", True),
    }
    assert members["verifier:2"].ledger.committed_tokens == 60


async def test_pools_are_watched(scene: Scene) -> None:
    """WatchPools says when a member is lost and when it is back."""
    async with grpc.aio.insecure_channel(scene.shard.address) as channel:
        stub = coordinator_pb2_grpc.CoordinatorServiceStub(channel)
        call = stub.WatchPools(coordinator_pb2.WatchPoolsRequest(), timeout=20)
        states = aiter(call)
        drafter = scene.drafters["drafter:1"]
        await until(states, drafter_ready=True)
        drafter.reports.say(None)
        await until(states, drafter_ready=False)
        drafter.reports.say(LoadReport(max_sessions=3))
        await until(states, drafter_ready=True)
        call.cancel()


async def until(states: AsyncIterator[coordinator_pb2.WatchPoolsResponse], *, drafter_ready: bool) -> None:
    """Read until the drafter is, or is not, ready."""
    async for state in states:
        if [m.ready for m in state.members if m.kind == coordinator_pb2.POOL_KIND_DRAFTER] == [drafter_ready]:
            return


async def test_membership_can_change() -> None:
    """New members are used, and those that left are forgotten."""
    async with coordinator_scene(fake_drafter(), fake_verifier()) as scene:
        scene.shard.update_membership(Membership(drafters=(), verifiers=("verifier:2",), shards=()))
        await until_members(scene.shard, 1)
        assert [member.kind for member in await scene.client.pools()] == ["verifier"]
        assert (await scene.generate(method="auto")).method == "off"
        scene.shard.update_membership(Membership(drafters=("drafter:1",), verifiers=("verifier:2",), shards=()))
        await until_ready(scene.shard, 2)
        assert (await scene.generate(method="auto")).method == "exact"


async def test_draining_lets_sessions_finish() -> None:
    """A shard that stops refuses new sessions and lets the running ones come to their end."""
    async with coordinator_scene(fake_verifier(step_ms=5.0)) as scene:
        async with scene.client.stream("The ", GenerateOptions(max_tokens=60)) as stream:
            chunks = aiter(stream)
            first = await anext(chunks)
            draining = asyncio.create_task(scene.shard.drain())
            await asyncio.sleep(0)
            with pytest.raises(UnavailableError):
                await scene.generate()
            rest = b"".join([chunk.data async for chunk in chunks])
        await draining
        assert first.data + rest == WHOLE
