"""A real verifier on loopback around a tiny random target, and a client that asks it for rounds."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache

import torch
from transformers import LlamaConfig, PreTrainedModel

from draftmesh.core.evidence import Evidence
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import FinishReason, Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import PsiQuery, PsiReply, Verdict, VerifyOpen, VerifyRound
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.loading import LoadedModel
from draftmesh.transport.peers import GrpcVerifier, GrpcVerifyStream
from draftmesh.verifier.app import Running, serving
from draftmesh.verifier.config import VerifierConfig
from tests.helpers.adopted_models import adopt_model
from tests.helpers.tiny_models import random_model
from tests.helpers.tokenizers import small_tokenizer

CONTEXT_TOKENS = 256
PROMPT = (5, 17, 300, 42)
ENGINE = EngineConfig(model="tiny", threads=1, kv_cache_tokens=4096, token_budget_tokens=64, max_sequences=8)
CONFIG = VerifierConfig(engine=ENGINE, listen="127.0.0.1:0", max_sessions=8, max_draft_tokens=8, drain_grace_s=0.0)

_session_numbers = itertools.count(1)


@cache
def tiny_target() -> LoadedModel:
    """The target, loaded as a verifier has it."""
    torch.set_num_threads(1)
    return adopt_model(tiny_weights(), small_tokenizer("gpt2"), ENGINE)


def tiny_weights() -> PreTrainedModel:
    """A random model whose end token is likely enough to be met."""
    tokenizer = small_tokenizer("gpt2")
    config = LlamaConfig(
        vocab_size=len(tokenizer.vocabulary) + 3,  # padded, as many real ones are
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT_TOKENS,
        initializer_range=0.3,
        tie_word_embeddings=False,
    )
    model = random_model(config)
    with torch.no_grad():
        model.get_output_embeddings().weight[list(tokenizer.vocabulary.terminal_ids)] *= 2
    return model


@dataclass
class VerifierBench:
    """A verifier that serves, and a connection to it."""

    running: Running
    peer: GrpcVerifier

    @property
    def target(self) -> LoadedModel:
        """The model behind it."""
        return tiny_target()

    @asynccontextmanager
    async def session(self, opening: VerifyOpen) -> AsyncIterator[SessionBench]:
        """An open session, once the verifier has said so."""
        async with self.peer.open(opening) as stream:
            await stream.opened()
            yield SessionBench(stream, list(opening.committed_ids))

    async def alone(self, opening: VerifyOpen) -> Said:
        """What the target says by itself: one free run to the end."""
        async with self.session(
            dataclasses.replace(opening, method=Method.OFF, session_id=new_session_id())
        ) as session:
            await session.ask(free_run=CONTEXT_TOKENS)
            while session.said.finish_reason is None:
                await session.hear()
            return session.said

    async def until_idle(self) -> None:
        """Wait until no session is open, as a watcher sees it."""
        async with aclosing(self.peer.watch()) as reports:
            async for report in reports:
                if report.active_sessions == 0:
                    return

    async def free_blocks_at_rest(self) -> int:
        """Free KV blocks once every session has gone and the engine has heard of it."""
        await self.until_idle()
        return await self.running.engine.call(lambda engine: engine.stats.free_blocks)


@dataclass
class Said:
    """What a session has committed, and how it ended."""

    ids: list[int]
    finish_reason: FinishReason | None = None
    text_length: int | None = None


@dataclass
class SessionBench:
    """One session as its coordinator sees it."""

    stream: GrpcVerifyStream
    ids: list[int]
    said: Said = field(init=False)
    rounds: int = 0

    def __post_init__(self) -> None:
        """Start from the committed ids."""
        self.said = Said(self.ids)

    async def ask(
        self,
        draft: Sequence[int] = (),
        *,
        free_run: int = 0,
        base: Sequence[int] | None = None,
        evidence: Evidence | None = None,
    ) -> VerifyRound:
        """Send the next round; its base is everything committed unless told otherwise."""
        self.rounds += 1
        prefix = TokenPrefix().extend(self.ids if base is None else base)
        request = VerifyRound(self.rounds, prefix, tuple(draft), evidence, free_run)
        await self.stream.send(request)
        return request

    async def hear(self) -> Verdict:
        """The next verdict; its tokens join the committed ones."""
        verdict = await self.stream.receive()
        assert isinstance(verdict, Verdict)
        if verdict.tokens:
            assert verdict.base == TokenPrefix().extend(self.ids), "a gap in the verdicts"
            self.ids += verdict.tokens
        if verdict.finish_reason is not None:
            self.said.finish_reason, self.said.text_length = verdict.finish_reason, verdict.text_length
        return verdict

    async def hear_query(self) -> PsiQuery:
        """The next message, which asks for ψ."""
        query = await self.stream.receive()
        assert isinstance(query, PsiQuery)
        return query

    async def reply(self, query: PsiQuery, psi: float) -> None:
        """Answer with one value for all ids."""
        await self.stream.send(PsiReply(query.query_id, (psi,) * len(query.ids)))

    async def judge(
        self, draft: Sequence[int] = (), *, free_run: int = 0, evidence: Evidence | None = None
    ) -> list[Verdict]:
        """One round from question to final verdict."""
        await self.ask(draft, free_run=free_run, evidence=evidence)
        verdicts = [await self.hear()]
        while not verdicts[-1].final:
            verdicts.append(await self.hear())
        return verdicts


@asynccontextmanager
async def verifier_bench(config: VerifierConfig = CONFIG) -> AsyncIterator[VerifierBench]:
    """Serve the tiny target on a free port."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(serving(config, tiny_target()))
        peer = await stack.enter_async_context(GrpcVerifier(running.address))
        yield VerifierBench(running, peer)


def new_session_id() -> str:
    """A name that no session had."""
    return f"session-{next(_session_numbers)}"


def opening(
    *,
    prompt: Sequence[int] = PROMPT,
    committed: Sequence[int] = (),
    method: Method = Method.EXACT,
    max_tokens: int = 40,
    stop: tuple[bytes, ...] = (),
    ignore_eos: bool = True,
    sampling: SamplingParams | None = None,
    noise: int = 0,
    fence: Fence | None = None,
    session_id: str | None = None,
    target_digest: bytes = b"",
) -> VerifyOpen:
    """A session's first message."""
    return VerifyOpen(
        session_id=session_id or new_session_id(),
        fence=fence or Fence(),
        prompt_ids=tuple(prompt),
        committed_ids=tuple(committed),
        sampling=sampling or SamplingParams(),
        stop=StopConditions(max_tokens, stop, ignore_eos),
        noise_key=NoiseKey(noise.to_bytes(16, "big")),
        method=method,
        target_digest=target_digest,
    )
