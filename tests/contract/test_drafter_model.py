"""A drafter with a tiny model behind real gRPC on loopback, against the same model run plainly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import accumulate
from operator import mul
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from draftmesh.core.draft import Block, Commit, DraftExtent, Evaluate, Evaluated
from draftmesh.core.errors import NotFoundError
from draftmesh.core.evidence import PsiEvidence, check_evidence
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.core.text import TERMINAL_ROLES, Item, Role, TextPrefix, items_length
from draftmesh.decoding.history import History
from draftmesh.decoding.sampler import Sampler
from draftmesh.drafter.app import running
from draftmesh.drafter.config import DrafterConfig
from draftmesh.engine.config import EngineConfig
from draftmesh.transport.peers import GrpcDrafter
from tests.helpers.fakes_drafter import draft_open, items_of, until_paused, write_drafter
from tests.helpers.tiny_models import whole_logits
from tests.helpers.tokenizers import small_tokenizer

NAME = "llama2"
TOKENIZER = small_tokenizer(NAME)
VOCABULARY = TOKENIZER.vocabulary
CONTEXT = b"def encode(self, text"
KEY = NoiseKey(bytes(range(16)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model with a SentencePiece tokenizer."""
    return write_drafter(tmp_path_factory.mktemp("drafter"), NAME, seed=3)


@pytest.fixture
async def drafter(folder: Path) -> AsyncIterator[GrpcDrafter]:
    """A client of a running drafter."""
    engine = EngineConfig(model=str(folder), threads=1, kv_cache_tokens=1024, max_sequences=4, packed_linear=False)
    config = DrafterConfig(engine=engine, listen="127.0.0.1:0", max_sessions=4, drain_grace_s=0.0, healing=False)
    async with running(config) as server, GrpcDrafter(server.address) as client:
        yield client


def continuation(folder: Path, text: Sequence[int], count: int, sampling: SamplingParams | None = None) -> list[Item]:
    """What the plain model says after the context and ``text`` (ids), drawn one by one with keyed noise."""
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    sampler = Sampler(VOCABULARY, "cpu", model.config.vocab_size)
    prompt = TOKENIZER.encode_prompt(CONTEXT.decode())
    history = History(VOCABULARY, sampling or SamplingParams(), KEY, prompt)
    history.append(text)
    drawn: list[int] = []
    for _ in range(count):
        logits = whole_logits(model, [*prompt, *text, *drawn])[-1:]
        drawn += sampler.draw(logits, history.rows(())).ids
        history.append(drawn[-1:])
    return list(VOCABULARY.items(drawn))


@pytest.mark.parametrize(
    "sampling", [SamplingParams(), SamplingParams(temperature=0.8, top_k=40, presence_penalty=0.5)]
)
async def test_draft_is_the_models_own_continuation(
    folder: Path, drafter: GrpcDrafter, sampling: SamplingParams
) -> None:
    """Drafted tokens are what the model says, at T = 0 and with keyed noise from its processed distribution."""
    async with drafter.open(draft_open(CONTEXT, sampling=sampling, noise_key=KEY)) as stream:
        assert items_of(await until_paused(stream)) == continuation(folder, [], 10, sampling)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("method", [Method.EXACT, Method.TLI, Method.TLI_EXACT])
async def test_an_unsure_draft_is_the_beginning_of_a_sure_one(
    drafter: GrpcDrafter, method: Method, temperature: float
) -> None:
    """What is drawn is the same, token by token, but no further than the drafter is sure; a commit asks for more."""
    await drafter.register_vocabulary(VOCABULARY.digest, VOCABULARY)
    common = replace(
        draft_open(CONTEXT, sampling=SamplingParams(temperature=temperature), noise_key=KEY, method=method),
        target_vocabulary_digest=VOCABULARY.digest if method.proposes_ids else b"",
    )
    async with drafter.open(common) as stream:
        assert stream.pauses_when_unsure
        whole = items_of(await until_paused(stream))
    unsure = DraftExtent(least_confidence=1e-7)
    async with drafter.open(replace(common, session_id="another", first_extent=unsure)) as stream:
        drafted = items_of(await until_paused(stream))
        assert 0 < len(drafted) < len(whole)
        await stream.send(Commit(1, 0, (drafted[0],)))
        drafted += items_of(await until_paused(stream, 1))
    assert drafted[: len(whole)] == whole


@pytest.mark.parametrize("temperature", [0.0, 0.8])
async def test_branches_follow_a_draft(drafter: GrpcDrafter, temperature: float) -> None:
    """They come when the draft is drawn, and one that the target takes is what is drafted next."""
    extent = DraftExtent(4, 0.0, branches=3, branch_tokens=5)
    request = draft_open(CONTEXT, sampling=SamplingParams(temperature=temperature), noise_key=KEY, first_extent=extent)
    async with drafter.open(request) as stream:
        draft = await until_paused(stream)
        branches = [await stream.receive() for _ in range(3)]
        prefixes = {TextPrefix().extend(items_of(draft)[:count]) for count in range(5)}
        for branch in branches:
            assert isinstance(branch, Block)
            assert (branch.is_branch, len(branch.items), branch.commit_seq) == (True, 5, 0)
            assert branch.start in prefixes
        await stream.send(Commit(1, 0, (b"\x00",), DraftExtent(2)))
        await until_paused(stream, 1)


async def test_blocks_follow_each_other(drafter: GrpcDrafter) -> None:
    """Each block starts with the prefix at which the one before ended."""
    async with drafter.open(draft_open(CONTEXT)) as stream:
        blocks = await until_paused(stream)
    assert [block.start for block in blocks[1:]] == [block.end for block in blocks[:-1]]


async def test_committed_text_at_open_is_continued(folder: Path, drafter: GrpcDrafter) -> None:
    """A session that moves here is drafted for from where it is."""
    async with drafter.open(draft_open(CONTEXT, committed=(b": str)", b" -> list"))) as stream:
        blocks = await until_paused(stream)
    assert blocks[0].start.length == len(b": str) -> list")
    assert items_of(blocks) == continuation(folder, TOKENIZER.encode_bytes(b": str) -> list"), 10)


async def test_agreeing_commits_leave_the_draft_alone(folder: Path, drafter: GrpcDrafter) -> None:
    """Commits that agree, inside tokens too, never draw a token twice: the blocks are one continuation."""
    whole = continuation(folder, [], 24)
    text = b"".join(item for item in whole if isinstance(item, bytes))
    async with drafter.open(draft_open(CONTEXT)) as stream:
        drafted = items_of(await until_paused(stream))
        for number in range(1, 5):
            await stream.send(Commit(number, 3 * (number - 1), (text[3 * (number - 1) : 3 * number],)))
            drafted += items_of(await until_paused(stream, number))
    assert drafted == whole[: len(drafted)]
    assert items_length(drafted) > items_length(whole[:10])


async def test_disagreeing_commit_rewinds(folder: Path, drafter: GrpcDrafter) -> None:
    """A commit that disagrees is continued as if nothing had been drafted."""
    async with drafter.open(draft_open(CONTEXT)) as stream:
        await until_paused(stream)
        await stream.send(Commit(1, 0, (b" fox jumps",)))
        blocks = [block for block in await until_paused(stream, 1) if block.commit_seq == 1]
    assert blocks[0].start.length == len(b" fox jumps")
    assert items_of(blocks) == continuation(folder, TOKENIZER.encode_bytes(b" fox jumps"), 10)


async def test_commit_that_ends_inside_a_character(folder: Path, drafter: GrpcDrafter) -> None:
    """Half a character is taken, and its other half gives the natural tokens of the whole."""
    async with drafter.open(draft_open(CONTEXT)) as stream:
        await stream.send(Commit(1, 0, (" caf\u00e9".encode()[:-1],)))
        await until_paused(stream, 1)
        await stream.send(Commit(2, 5, ("\u00e9".encode()[-1:] + b" cr",)))
        blocks = [block for block in await until_paused(stream, 2) if block.commit_seq == 2]
    assert items_of(blocks) == continuation(folder, TOKENIZER.encode_bytes(" caf\u00e9 cr".encode()), 10)


async def test_committed_role_is_continued(folder: Path, drafter: GrpcDrafter) -> None:
    """A target that goes on after an end token is followed."""
    end = VOCABULARY.ids_of_role(Role.EOS)[0]
    async with drafter.open(draft_open(CONTEXT)) as stream:
        await stream.send(Commit(1, 0, (b" fox", Role.EOS, b"The")))
        blocks = [block for block in await until_paused(stream, 1) if block.commit_seq == 1]
    ids = [*TOKENIZER.encode_bytes(b" fox"), end, *TOKENIZER.encode_bytes(b"The")]
    assert items_of(blocks) == continuation(folder, ids, 10)


async def test_sessions_do_not_touch_each_other(folder: Path, drafter: GrpcDrafter) -> None:
    """Two sessions drafted for at once each get their own continuation."""
    other = draft_open(CONTEXT, session_id="other", committed=(b" fox",))
    async with drafter.open(draft_open(CONTEXT)) as first, drafter.open(other) as second:
        drafts = items_of(await until_paused(second)), items_of(await until_paused(first))
    assert drafts == (continuation(folder, TOKENIZER.encode_bytes(b" fox"), 10), continuation(folder, [], 10))


async def test_vanished_client_frees_kv(drafter: GrpcDrafter) -> None:
    """When a stream goes away, its KV blocks are free again."""
    async with drafter.open(draft_open(CONTEXT, session_id="one")), drafter.open(draft_open(CONTEXT)) as stream:
        await until_paused(stream)
        busy = await anext(aiter(drafter.watch()))
    async for load in drafter.watch():
        if load.active_sessions == 0 and load.kv_blocks_free == load.kv_blocks_total:
            break
    assert (busy.active_sessions, busy.kv_blocks_free < busy.kv_blocks_total) == (2, True)


async def test_newer_stream_takes_the_session_over(folder: Path, drafter: GrpcDrafter) -> None:
    """A second attempt for a session is served at once, and the KV of the first is freed."""
    async with drafter.open(draft_open(CONTEXT)), drafter.open(draft_open(CONTEXT, fence=Fence(1, 2))) as newer:
        assert items_of(await until_paused(newer)) == continuation(folder, [], 10)


async def test_info_names_the_model(folder: Path, drafter: GrpcDrafter) -> None:
    """The drafter says what it is."""
    info = await drafter.info()
    assert (info.name, info.vocabulary_digest, info.tokenizer_family, info.max_context_tokens) == (
        folder.name,
        VOCABULARY.digest,
        "sentencepiece-bpe",
        256,
    )


async def test_tokenizer_is_served(drafter: GrpcDrafter) -> None:
    """The files are those of the model's folder."""
    files = await drafter.tokenizer_files()
    assert {"tokenizer.json", "tokenizer_config.json"} <= {file.name for file in files}


async def test_registered_vocabulary_counts_shared_tokens(drafter: GrpcDrafter) -> None:
    """Tokens of a target are shared when the drafter has a token of the same bytes, or the same end."""
    target = small_tokenizer("gpt2").vocabulary
    own = {VOCABULARY.token_bytes(token) for token in range(len(VOCABULARY))} - {b""}
    texts = {target.token_bytes(token) for token in range(len(target))} & own
    roles = {role for role in TERMINAL_ROLES if VOCABULARY.ids_of_role(role) and target.ids_of_role(role)}
    assert await drafter.register_vocabulary(target.digest, target) == len(texts) + len(roles)


async def test_methods_are_said(drafter: GrpcDrafter) -> None:
    """A drafter with a model offers every method that drafts."""
    assert set((await drafter.info()).methods) == set(Method) - {Method.AUTO, Method.OFF}


TARGET = small_tokenizer("gpt2").vocabulary
WARM = SamplingParams(temperature=1.0)


async def test_proposals_of_target_ids(drafter: GrpcDrafter) -> None:
    """A stream of ``tli`` carries target ids, each with a distribution that holds it, before and after commits."""
    await drafter.register_vocabulary(TARGET.digest, TARGET)
    request = draft_open(
        CONTEXT, method=Method.TLI, sampling=WARM, target_vocabulary_digest=TARGET.digest, proposal_support=8
    )
    async with drafter.open(request) as stream:
        blocks = await until_paused(stream)
        first = items_of(blocks)[0]
        await stream.send(Commit(1, 0, (first,)))
        blocks += await until_paused(stream, 1)
        await stream.send(Commit(2, items_length((first,)), (b" fox",)))
        blocks += await until_paused(stream, 2)
    for block in blocks:
        check_evidence(Method.TLI, block.target_ids, block.evidence, len(TARGET))
        assert block.items == TARGET.items(block.target_ids)
    assert blocks[-1].commit_seq == 2


async def test_registration_comes_first(drafter: GrpcDrafter) -> None:
    """A target that was never registered is unknown; then the coordinator registers it and opens again."""
    with pytest.raises(NotFoundError):
        async with drafter.open(draft_open(CONTEXT, method=Method.SLRS, target_vocabulary_digest=bytes(32))):
            pass


async def test_blocks_of_strings(drafter: GrpcDrafter) -> None:
    """A stream of ``slrs`` carries whole blocks with ψ, answers questions about their base, and draws them again."""
    await drafter.register_vocabulary(TARGET.digest, TARGET)
    request = draft_open(
        CONTEXT,
        method=Method.SLRS,
        sampling=SamplingParams(temperature=0.3),
        target_vocabulary_digest=TARGET.digest,
        max_ahead_tokens=3,
        proposal_support=8,
        psi_cap_bytes=4,
    )
    async with drafter.open(request) as stream:
        (block,) = await until_paused(stream)
        check_evidence(Method.SLRS, block.target_ids, block.evidence, len(TARGET))
        assert isinstance(block.evidence, PsiEvidence)
        beginnings = tuple(block.target_ids[: count + 1] for count in range(len(block.target_ids)))
        await stream.send(Evaluate(5, block.start, beginnings))
        answer = await stream.receive()
        await stream.send(Commit(1, 0, (b" ", b"fox")))
        (second,) = await until_paused(stream, 1)
    assert isinstance(answer, Evaluated)
    assert answer.evaluation_id == 5
    assert answer.psi == pytest.approx(tuple(accumulate(block.evidence.values, mul)), rel=1e-9)
    moved = replace(request, committed=(b" fox",), committed_tokens=2)
    async with drafter.open(replace(moved, fence=Fence(1, 2))) as stream:
        (again,) = await until_paused(stream)
    assert (again.start, again.target_ids, again.items) == (second.start, second.target_ids, second.items)


async def test_another_context_size_is_another_drafter(folder: Path, drafter: GrpcDrafter) -> None:
    """Where the context is full its size decides about ψ, so the digests differ."""
    engine = EngineConfig(model=str(folder), threads=1, max_context_tokens=128, packed_linear=False)
    config = DrafterConfig(engine=engine, listen="127.0.0.1:0", drain_grace_s=0.0)
    async with running(config) as server, GrpcDrafter(server.address) as smaller:
        assert (await smaller.info()).digest != (await drafter.info()).digest
