"""Measures, before an engine serves, how long steps of a few sizes take.

A cost curve that is empty until the first sessions have run would leave whoever plans by it to guess. The steps go the
way of every other step: a sequence on one token, with drafts that are judged and never committed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from draftmesh.core.errors import DraftmeshError
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.decoding.history import History
from draftmesh.decoding.noise_key import NOISE_KEY_BYTES
from draftmesh.engine.engine import Engine
from draftmesh.engine.judging import Judgement
from draftmesh.engine.stats import StepReport

CALIBRATION_ROWS = (1, 2, 4, 8, 16)
"""Step sizes to measure: those of one session's rounds."""

_PROMPT = (0,)
_RUNS = 3

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Measured:
    """A listener that commits nothing and keeps the reports."""

    steps: list[StepReport] = field(default_factory=list)
    error: DraftmeshError | None = None

    def settle(self, judgement: Judgement) -> tuple[int, ...]:
        del judgement
        return ()

    def stepped(self, settled: tuple[int, ...], judgement: Judgement, step: StepReport) -> None:
        del settled, judgement
        self.steps.append(step)

    def failed(self, error: DraftmeshError) -> None:
        self.error = error


def calibrate(engine: Engine, table: TokenTable) -> None:
    """Let the cost curve begin with measured steps, as far as they fit the engine; for an engine that holds nothing.

    Each size runs three times, and the fastest counts: the others may have waited for something else. No other trace of
    the steps stays.

    Args:
        engine: Nobody else uses it yet.
        table: The vocabulary of its judge.

    Raises:
        DraftmeshError: the engine cannot step.
    """
    listener = _Measured()
    history = History(table, SamplingParams(), NoiseKey(bytes(NOISE_KEY_BYTES)), _PROMPT)
    seq = engine.open(_PROMPT, (), history, listener, method=Method.EXACT)
    sizes = [rows for rows in CALIBRATION_ROWS if rows - 1 <= engine.room(seq)]
    for rows in sizes:
        for _ in range(_RUNS):
            engine.submit(seq, _PROMPT * (rows - 1))
            engine.step()
            if listener.error is not None:
                raise listener.error
    engine.close(seq)
    steps = [listener.steps[start : start + _RUNS] for start in range(0, len(listener.steps), _RUNS)]
    engine.restart_meter(min(same, key=lambda step: step.milliseconds) for same in steps)
    _log.info("engine calibrated", step_ms={point.rows: round(point.milliseconds, 2) for point in engine.stats.costs})
