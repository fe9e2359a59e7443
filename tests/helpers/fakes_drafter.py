"""Fakes at the drafter's seams, a rule in place of a model, and the small things that its tests share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from transformers import LlamaConfig

from draftmesh.core.draft import Block, DraftExtent, DraftOpen, Evaluate, Evaluated
from draftmesh.core.errors import DraftmeshError
from draftmesh.core.fence import Fence
from draftmesh.core.protocols import DraftStream, TokenTable
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.core.text import Item
from draftmesh.drafter.branching import BranchTree
from draftmesh.drafter.chain import Chain
from draftmesh.drafter.draft_token import Divergence, DraftToken
from draftmesh.drafter.judge import draft_judge
from draftmesh.drafter.opening import Meters, Opening
from draftmesh.drafter.proposer import Sink
from draftmesh.drafter.proposers import Proposers
from draftmesh.drafter.sequence_budget import SequenceBudget
from draftmesh.drafter.session import DraftSession, Pacing
from draftmesh.drafter.string_proposer import PsiLimits
from draftmesh.engine.block_pool import BlockPool
from draftmesh.engine.engine import Engine
from draftmesh.engine.limits import EngineLimits
from draftmesh.engine.packing import PackedRows
from draftmesh.engine.paging import Paging
from draftmesh.tokenization import Tokenizer
from draftmesh.tokenization.vocabulary import Vocabulary
from tests.helpers.clocks import HandClock
from tests.helpers.tiny_models import random_model
from tests.helpers.tokenizers import small_tokenizer, write_tokenizer

torch.set_num_threads(1)


@dataclass
class ScriptedProposer:
    """Draws only when :meth:`bring` is called, and keeps what it was asked."""

    sink: Sink
    wanted: int = 0
    rebased: list[Divergence] = field(default_factory=list)
    pending: bytes = b""
    asked: list[Evaluate] = field(default_factory=list)
    closed: bool = False

    def draw(self, count: int) -> None:
        """Keep the number; draw nothing by itself."""
        self.wanted = count

    def branch(self, tree: BranchTree, extent: DraftExtent) -> None:
        """Draw none."""

    def rebase(self, divergence: Divergence) -> bytes:
        """Keep the divergence; back up over ``pending``."""
        self.rebased.append(divergence)
        return self.pending

    def evaluate(self, question: Evaluate) -> None:
        """Keep the question."""
        self.asked.append(question)

    def close(self) -> None:
        """Keep that it happened."""
        self.closed = True

    def bring(self, *items: Item, exhausted: bool = False) -> None:
        """Hand tokens to the sink, as an engine step would."""
        self.bring_tokens(*map(DraftToken, items), exhausted=exhausted)

    def bring_tokens(self, *tokens: DraftToken, exhausted: bool = False, missing_next: bool = False) -> None:
        """The same with what is said of the tokens."""
        self.wanted = self.sink.drawn(tokens, exhausted=exhausted, missing_next=missing_next)


@dataclass
class Counts:
    """Adds up what proposers cost."""

    draft_rows: int = 0
    psi_rows: int = 0
    psi: int = 0

    @property
    def meters(self) -> Meters:
        """Meters that add to these."""
        return Meters(
            step=lambda _: None,
            draft_rows=partial(self._add, "draft_rows"),
            psi_rows=partial(self._add, "psi_rows"),
            psi=partial(self._add, "psi"),
        )

    def _add(self, name: str, count: int) -> None:
        setattr(self, name, getattr(self, name) + count)


@dataclass
class KeepingOutlet:
    """Keeps blocks, answers and errors."""

    blocks: list[Block] = field(default_factory=list)
    answers: list[Evaluated] = field(default_factory=list)
    errors: list[DraftmeshError] = field(default_factory=list)

    def put(self, message: Block | Evaluated) -> None:
        """Keep a block or an answer."""
        if isinstance(message, Block):
            self.blocks.append(message)
        else:
            self.answers.append(message)

    def close(self, error: DraftmeshError) -> None:
        """Keep an error."""
        self.errors.append(error)

    @property
    def texts(self) -> list[tuple[Item, ...]]:
        """The items of every block."""
        return [block.items for block in self.blocks]


Rule = Callable[[tuple[int, ...]], int]
"""A deterministic language model: all tokens so far to the next one."""

Law = Callable[[tuple[int, ...]], Tensor]
"""A language model: all tokens so far to the logits [tokens] of the next one."""


@dataclass
class LawRunner:
    """Runs a law in place of a model. Its KV is the tokens themselves, so a wrong block table or a stale KV shows."""

    law: Law
    vocabulary_size: int
    block_size: int = 4
    slots: dict[int, int] = field(default_factory=dict)
    rows: int = 0

    def run(self, batch: Sequence[PackedRows]) -> Tensor:
        """The law's logits for each wanted row."""
        logits: list[Tensor] = []
        for rows in batch:
            self.rows += rows.count
            for position, token in enumerate(rows.token_ids, rows.start):
                self.slots[self._slot(rows, position)] = token
            for end in range(rows.end - rows.wanted + 1, rows.end + 1):
                seen = tuple(self.slots[self._slot(rows, position)] for position in range(end))
                logits.append(self.law(seen))
        return torch.stack(logits).float() if logits else torch.empty(0, self.vocabulary_size)

    def _slot(self, rows: PackedRows, position: int) -> int:
        return rows.block_table[position // self.block_size] * self.block_size + position % self.block_size


def rule_engine(rule: Rule, vocabulary: TokenTable, *, context_tokens: int = 256) -> tuple[Engine, LawRunner]:
    """A real engine with the real judge over a rule."""
    return law_engine(
        lambda seen: one_hot(torch.tensor(rule(seen)), len(vocabulary)) * 50.0,
        vocabulary,
        context_tokens=context_tokens,
    )


def law_engine(law: Law, vocabulary: TokenTable, *, context_tokens: int = 256) -> tuple[Engine, LawRunner]:
    """A real engine with the real judge over a law."""
    runner = LawRunner(law, len(vocabulary))
    blocks = 2 * context_tokens // runner.block_size
    limits = EngineLimits(context_tokens, 2 * context_tokens, len(vocabulary), token_budget_tokens=64, max_sequences=8)
    judge = draft_judge(vocabulary, len(vocabulary), "cpu")
    return Engine(runner, judge, Paging(BlockPool(blocks, runner.block_size)), limits), runner


@dataclass
class DraftStage:
    """One session with its method's own proposer, on an engine that is stepped by hand."""

    engine: Engine
    runner: LawRunner
    session: DraftSession
    outlet: KeepingOutlet
    counts: Counts

    def run(self) -> None:
        """Step until there is nothing to do, checking the books after each step."""
        while self.engine.step() is not None:
            self.engine.check_integrity()

    @property
    def last(self) -> Block:
        """The newest block."""
        return self.outlet.blocks[-1]


def draft_stage(
    law: Law,
    tokenizer: Tokenizer,
    target: Vocabulary,
    request: DraftOpen,
    *,
    context_tokens: int = 256,
    max_psi_paths: int = 512,
    extra_sequences: int = 4,
) -> DraftStage:
    """Open a session for ``request`` and run it until it pauses."""
    engine, runner = law_engine(law, tokenizer.vocabulary, context_tokens=context_tokens)
    psi = PsiLimits(max_psi_paths, SequenceBudget(extra_sequences))
    rows = len(tokenizer.vocabulary)
    proposers = Proposers(tokenizer, rows, "cpu", psi=psi, healing=False, max_vocabularies=2)
    chain = Chain(
        request.committed,
        request.max_ahead_tokens,
        method=request.method,
        committed_tokens=request.committed_tokens,
        first_extent=request.first_extent,
    )
    outlet, counts = KeepingOutlet(), Counts()
    session = DraftSession(chain, outlet, HandClock(), Pacing())
    proposers.prepare(request, target)
    session.start(proposers.begin(Opening.of(engine, tokenizer, request, counts.meters), target, session))
    stage = DraftStage(engine, runner, session, outlet, counts)
    stage.run()
    return stage


def draft_open(context: bytes, **changes: Any) -> DraftOpen:  # noqa: ANN401 (any field of DraftOpen)
    """An Open for ``context`` at temperature 0, ten tokens ahead."""
    base = DraftOpen(
        session_id="session",
        fence=Fence(),
        context=(context,),
        committed=(),
        sampling=SamplingParams(),
        noise_key=NoiseKey(bytes(range(16))),
        method=Method.EXACT,
        max_ahead_tokens=10,
    )
    return replace(base, **changes)


async def until_paused(stream: DraftStream, commit_seq: int = 0) -> list[Block]:
    """Blocks up to the one that pauses under ``commit_seq``; earlier ones that nothing follows are among them."""
    blocks: list[Block] = []
    while True:
        block = await stream.receive()
        assert isinstance(block, Block)
        blocks.append(block)
        if block.paused and block.commit_seq == commit_seq:
            return blocks


def items_of(blocks: Sequence[Block]) -> list[Item]:
    """The draft tokens of blocks, in order."""
    return [item for block in blocks for item in block.items]


def write_drafter(folder: Path, tokenizer: str, *, seed: int = 0) -> Path:
    """A folder with a tiny random model and one of the small tokenizers."""
    write_tokenizer(tokenizer, folder)
    config = LlamaConfig(
        vocab_size=len(small_tokenizer(tokenizer).vocabulary),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,
    )
    random_model(config, seed=seed).save_pretrained(folder)
    return folder
