"""The engine's logits against plain transformers, under any interleaving of what its callers may do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel

from draftmesh.engine.building import assemble
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.engine import Engine
from draftmesh.engine.judging import Case, Judgement
from draftmesh.engine.loading import PreparedModel, prepare_model
from tests.helpers.engines import GreedyJudge
from tests.helpers.tiny_models import TINY_CONFIGS, VOCABULARY_SIZE, tiny_model, whole_logits
from tests.property.engine.driver import Driver, Operation, operations

TOLERANCE = 1e-4
SHARED_TEXT = [11 * position % VOCABULARY_SIZE for position in range(24)]


class ParityJudge:
    """Compares the logits of every judged row with one whole forward over the sequence's text, then judges greedily."""

    def __init__(self, family: str) -> None:
        self.rows = 0
        self._family = family
        self._greedy = GreedyJudge()
        self.engine: Engine | None = None

    def judge(self, logits: Tensor, cases: Sequence[Case]) -> list[Judgement]:
        """Greedy judgements of logits that are as they should be."""
        assert self.engine is not None
        texts = {id(seq.history): tuple(seq.tokens) for seq in self.engine.sequences}
        start = 0
        for case in cases:
            rows = 1 + len(case.draft)
            expected = _reference(self._family, (*texts[id(case.history)], *case.draft))[-rows:]
            torch.testing.assert_close(logits[start : start + rows], expected, rtol=0.0, atol=TOLERANCE)
            start += rows
        self.rows += start
        return self._greedy.judge(logits, cases)


@cache
def _plain(family: str) -> PreTrainedModel:
    return tiny_model(family)


@cache
def _reference(family: str, text: tuple[int, ...]) -> Tensor:
    return whole_logits(_plain(family), list(text))


@cache
def _prepared(family: str) -> PreparedModel:
    return prepare_model(tiny_model(family), EngineConfig(model=family))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("family", TINY_CONFIGS)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    steps=operations(VOCABULARY_SIZE, len(SHARED_TEXT)),
    block_size=st.integers(2, 5),
    spare_blocks=st.integers(0, 5),
    token_budget=st.integers(2, 24),
)
def test_logits_are_those_of_a_whole_forward(
    family: str, steps: list[Operation], block_size: int, spare_blocks: int, token_budget: int
) -> None:
    """Chunks, drafts, rollback, preemption and shared prefixes leave every judged row within 1e-4 of transformers."""
    kv_blocks = -(-(len(SHARED_TEXT) + 8) // block_size) + spare_blocks
    config = EngineConfig(
        model=family,
        block_size_tokens=block_size,
        kv_cache_tokens=kv_blocks * block_size,
        token_budget_tokens=token_budget,
        max_sequences=6,
    )
    judge = ParityJudge(family)
    with torch.inference_mode():
        engine = assemble(_prepared(family), config, judge, VOCABULARY_SIZE)
        judge.engine = engine
        driver = Driver(engine, SHARED_TEXT, lambda text: int(_reference(family, tuple(text))[-1].argmax()))
        for step in steps:
            driver.apply(step)
        driver.finish()
