"""Scheduler, paging and block pool under any interleaving, with a model that notices wrong KV."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.engines import GreedyJudge, UndecidedJudge, fake_engine
from tests.property.engine.driver import Driver, Operation, operations

VOCABULARY_SIZE = 50
SHARED_TEXT = [7 * position % VOCABULARY_SIZE for position in range(20)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    steps=operations(VOCABULARY_SIZE, len(SHARED_TEXT)),
    block_size=st.integers(1, 5),
    spare_blocks=st.integers(0, 5),
    token_budget=st.integers(1, 12),
    undecided=st.booleans(),
)
def test_every_interleaving_reads_only_its_own_kv_and_ends(
    steps: list[Operation], block_size: int, spare_blocks: int, token_budget: int, undecided: bool
) -> None:
    """Whatever callers do, rows read the KV of their own text, requests end, and blocks are conserved.

    Also where the token after a draft is left open, so that the KV of every token of a sequence at rest is there.
    """
    kv_blocks = -(-(len(SHARED_TEXT) + 8) // block_size) + spare_blocks
    engine, _ = fake_engine(
        kv_blocks=kv_blocks,
        block_size=block_size,
        token_budget=token_budget,
        max_sequences=6,
        vocabulary_size=VOCABULARY_SIZE,
        judge=UndecidedJudge() if undecided else GreedyJudge(),
    )
    driver = Driver(engine, SHARED_TEXT, lambda text: (text[-1] + 1) % VOCABULARY_SIZE)
    for step in steps:
        driver.apply(step)
    driver.finish()
