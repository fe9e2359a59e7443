"""The cost curve before the first session."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from draftmesh.core.errors import InternalError
from draftmesh.engine.calibration import StepProbe, calibrate
from tests.helpers.engines import GreedyJudge, fake_engine, open_sequence, run_dry
from tests.helpers.fakes_token_table import FakeTokenTable

TABLE = FakeTokenTable([bytes([token % 256]) for token in range(1000)])


def test_cost_curve_begins_with_a_few_sizes() -> None:
    """Those of one session's rounds; each has its own measured duration, that of its fastest run."""
    engine, runner = fake_engine(token_budget=64)
    durations_s = [9.0, 1.0, 8.0, 2.0, 9.0, 9.0, 5.0, 4.0, 3.0, 6.0, 5.0, 4.0, 8.0, 5.0, 6.0]
    times = itertools.chain.from_iterable((0.0, 0.0, duration, duration) for duration in durations_s)
    engine._clock = lambda: next(times)
    calibrate(engine, TABLE)
    sizes = (1, 2, 4, 8, 16)
    assert [[rows.count for rows in batch] for batch in runner.batches] == [[n] for n in sizes for _ in range(3)]
    assert [(point.rows, point.milliseconds) for point in engine.stats.costs] == [
        (1, 1000.0),
        (2, 2000.0),
        (4, 3000.0),
        (8, 4000.0),
        (16, 5000.0),
    ]


@pytest.mark.parametrize(
    ("bounds", "sizes"),
    [({"token_budget": 5}, [1, 2, 4]), ({"context_tokens": 3}, [1, 2]), ({"kv_blocks": 2, "block_size": 2}, [1, 2])],
)
def test_sizes_stay_within_the_engines_bounds(bounds: dict[str, int], sizes: list[int]) -> None:
    """A small budget, context or pool leaves the larger sizes out."""
    engine, _ = fake_engine(**bounds)  # type: ignore[arg-type]
    calibrate(engine, TABLE)
    assert [point.rows for point in engine.stats.costs] == sizes


def test_nothing_else_remains() -> None:
    """The counters start from nothing, all blocks are free, and a session says what it would have said."""
    engine, _ = fake_engine(block_size=1)
    fresh = engine.stats
    calibrate(engine, TABLE)
    engine.check_integrity()
    assert dataclasses.replace(engine.stats, costs=()) == fresh
    seq, listener = open_sequence(engine, [0, 1])
    engine.submit(seq, [2, 9], run=2)
    run_dry(engine)
    assert listener.tokens == [2, 3, 4, 5]


def test_a_probe_measures_rounds_behind_a_prompt() -> None:
    """The prompt is computed before, in chunks; each round has its rows alone, and nothing is committed."""
    engine, runner = fake_engine(token_budget=4)
    with StepProbe(engine, TABLE, [0, 1, 2, 3, 4, 5]) as probe:
        steps = [probe.step(rows) for rows in (3, 1, 3)]
        assert (probe.fits(4), probe.fits(5)) == (True, False)
    assert [step.rows for step in steps] == [3, 1, 3]
    assert [[rows.count for rows in batch] for batch in runner.batches] == [[4], [1], [3], [1], [3]]
    assert engine.stats.sequences == 0
    engine.check_integrity()


def test_engine_that_cannot_judge_is_not_started() -> None:
    """What breaks here would break every session."""
    engine, _ = fake_engine(judge=GreedyJudge(refuses=lambda _: True))
    with pytest.raises(InternalError, match="refused"):
        calibrate(engine, TABLE)
