"""How fast a session decodes, from its verdicts."""

from __future__ import annotations

import pytest

from draftmesh.coordinator.loop.rounds import Answer
from draftmesh.coordinator.loop.speed import Speed
from draftmesh.core.endpoint import CostPoint
from draftmesh.core.ledger import Decoded
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, Verdict
from draftmesh.decoding.draft_length import CostCurve

COSTS = CostCurve([CostPoint(1, 40.0), CostPoint(5, 60.0), CostPoint(9, 80.0)])


def answer(accepted: int, free: int = 0, *, drafted: int, batch_rows: int) -> Answer:
    """A draft's verdict, with its recovered or bonus token, and of tokens said without a draft after it."""
    ids = (7,) * (accepted + free + int(drafted > 0))
    verdict = Verdict(1, RoundStatus.DONE, TokenPrefix(), accepted, ids, batch_rows=batch_rows)
    return Answer(verdict, drafted, judges=drafted > 0)


@pytest.mark.parametrize(
    ("heard", "work_steps"),
    [
        (answer(2, drafted=4, batch_rows=5), 1.5),
        (answer(2, free=3, drafted=4, batch_rows=5), 4.5),
        (answer(0, free=3, drafted=0, batch_rows=1), 3.0),
        (answer(2, drafted=4, batch_rows=9), 80 / 60),
        (answer(0, free=1, drafted=0, batch_rows=9), 1.0),
    ],
)
def test_work_is_counted_in_steps_without_a_draft(heard: Answer, work_steps: float) -> None:
    """A draft costs what its rows add to the step, whose other rows are other sessions'."""
    speed = Speed()
    speed.observe(heard, 90.0, COSTS)
    assert speed.decoded == Decoded(len(heard.verdict.tokens), pytest.approx(work_steps), 0.09)  # type: ignore[arg-type]


def test_without_a_cost_curve_a_step_counts_as_one() -> None:
    """Some targets do not say what their steps take."""
    speed = Speed()
    speed.observe(answer(2, free=3, drafted=4, batch_rows=5), 90.0, None)
    assert speed.decoded.work_steps == 4.0


def test_the_prompt_does_not_count() -> None:
    """Nor does what came with it."""
    speed = Speed()
    first = answer(2, drafted=4, batch_rows=5)
    speed.observe(Answer(first.verdict, 4, judges=True, has_prefill=True), 900.0, COSTS)
    assert speed.decoded == Decoded()
