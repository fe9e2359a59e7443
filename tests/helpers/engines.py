"""Engines over tiny models, with a greedy judge and listeners that write down what they hear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from draftmesh.core.errors import DraftmeshError
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.decoding.history import History
from draftmesh.engine.block_pool import BlockPool
from draftmesh.engine.engine import Engine
from draftmesh.engine.judging import Case, Judge, Judgement
from draftmesh.engine.limits import EngineLimits
from draftmesh.engine.paging import Paging
from draftmesh.engine.sequence import RunDrafter
from draftmesh.engine.sequence import Sequence as EngineSequence
from draftmesh.engine.stats import Sharing, StepReport
from tests.helpers.fake_runner import CountingRunner
from tests.helpers.fakes_token_table import FakeTokenTable
from tests.helpers.fakes_verifier import FakeResidual


def new_history(prompt_ids: Sequence[int], vocabulary_size: int) -> History:
    """A greedy history over a vocabulary of single bytes."""
    table = FakeTokenTable([bytes([token % 256]) for token in range(vocabulary_size)])
    return History(table, SamplingParams(), NoiseKey(bytes(16)), prompt_ids)


@dataclass
class GreedyJudge:
    """Accepts a draft as far as it is the argmax; keeps every row of logits that it has seen.

    ``refuses`` makes it raise for some cases, as a method does that is not supported.
    """

    refuses: Callable[[Case], bool] = lambda _: False
    seen: list[tuple[Case, Tensor]] = field(default_factory=list)

    def judge(self, logits: Tensor, cases: Sequence[Case]) -> list[Judgement]:
        """Argmax of each row against the draft."""
        judgements, start = [], 0
        for case in cases:
            if self.refuses(case):
                raise ValueError("refused")
            rows = logits[start : start + 1 + len(case.draft)]
            start += len(rows)
            self.seen.append((case, rows.clone()))
            judgements.append(_greedy(case.draft, rows.argmax(dim=-1).tolist()))
        assert start == len(logits), "rows that belong to no case"
        return judgements


@dataclass
class UndecidedJudge(GreedyJudge):
    """Leaves the token after a draft open."""

    def judge(self, logits: Tensor, cases: Sequence[Case]) -> list[Judgement]:
        """The accepted tokens and a residual; a whole judgement where there is no draft."""
        return [
            Judgement(judged.accepted, judged.tokens[:-1], residual=FakeResidual(0, 0)) if case.draft else judged
            for case, judged in zip(cases, super().judge(logits, cases), strict=True)
        ]


def _greedy(draft: tuple[int, ...], best: list[int]) -> Judgement:
    accepted = 0
    while accepted < len(draft) and draft[accepted] == best[accepted]:
        accepted += 1
    return Judgement(accepted, tuple(best[: accepted + 1]))


@dataclass
class RecordingListener:
    """Settles every token, up to a limit, and remembers all calls."""

    limit: int | None = None
    """Tokens to settle at most, over all steps; None: all."""

    tokens: list[int] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    steps: list[StepReport] = field(default_factory=list)
    errors: list[DraftmeshError] = field(default_factory=list)
    on_step: Callable[[], object] = lambda: None
    """Called at the end of every step, when it may submit, interrupt or close."""

    on_failure: Callable[[], object] = lambda: None
    """Called when the sequence has failed."""

    def settle(self, judgement: Judgement) -> tuple[int, ...]:
        """What the limit leaves."""
        room = len(judgement.tokens) if self.limit is None else self.limit - len(self.tokens)
        return judgement.tokens[: max(0, room)]

    def stepped(self, settled: tuple[int, ...], judgement: Judgement, step: StepReport) -> None:
        """Remember."""
        self.tokens.extend(settled)
        self.judgements.append(judgement)
        self.steps.append(step)
        self.on_step()

    def failed(self, error: DraftmeshError) -> None:
        """Remember."""
        self.errors.append(error)
        self.on_failure()


@dataclass(frozen=True)
class FakeRunDrafter:
    """A ``RunDrafter`` that says ``good`` tokens as predicted, and another one."""

    predict: Callable[[Sequence[int]], int]
    good: int
    vocabulary_size: int = 1000

    def draft(self, tokens: Sequence[int], limit: int, sharing: Sharing) -> tuple[int, ...]:  # noqa: ARG002
        """Part of ``RunDrafter``; whether the last token is right depends on nothing."""
        text = list(tokens)
        for _ in range(self.good):
            text.append(self.predict(text))
        text.append((self.predict(text) + 1) % self.vocabulary_size)
        return tuple(text[len(tokens) :][:limit])


def fake_engine(
    *,
    kv_blocks: int = 16,
    block_size: int = 4,
    token_budget: int = 16,
    context_tokens: int = 1 << 20,
    max_sequences: int = 8,
    vocabulary_size: int = 1000,
    judge: Judge | None = None,
) -> tuple[Engine, CountingRunner]:
    """An engine whose model counts, and that model."""
    pool = BlockPool(kv_blocks, block_size)
    runner = CountingRunner(vocabulary_size, block_size, pool.references)
    limits = EngineLimits(
        context_tokens=context_tokens,
        pool_tokens=kv_blocks * block_size,
        vocabulary_size=vocabulary_size,
        token_budget_tokens=token_budget,
        max_sequences=max_sequences,
    )
    return Engine(runner, judge or GreedyJudge(), Paging(pool), limits), runner


def open_sequence(
    engine: Engine,
    prompt_ids: Sequence[int],
    generated_ids: Sequence[int] = (),
    *,
    limit: int | None = None,
    run_drafter: RunDrafter | None = None,
) -> tuple[EngineSequence, RecordingListener]:
    """A greedy sequence and its listener."""
    listener = RecordingListener(limit)
    history = new_history(prompt_ids, engine.limits.vocabulary_size)
    seq = engine.open(prompt_ids, generated_ids, history, listener, method=Method.EXACT, run_drafter=run_drafter)
    return seq, listener


def run_dry(engine: Engine, max_steps: int = 2000) -> int:
    """Step until nothing is left to do, checking the books each time; the number of steps."""
    for steps in range(max_steps):
        if engine.step() is None:
            return steps
        engine.check_integrity()
    raise AssertionError(f"the engine is still busy after {max_steps} steps")
