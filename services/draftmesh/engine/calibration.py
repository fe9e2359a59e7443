"""Measures, before an engine serves, how long steps of a few sizes take.

A cost curve that is empty until the first sessions have run would leave whoever plans by it to guess. The steps go the
way of every other step: a sequence on one token, with drafts that are judged and never committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

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


class StepProbe:
    """A session whose rounds can be measured; a context manager.

    Args:
        engine: It has nothing else to do.
        table: The vocabulary of its judge.
        prompt_ids: What the session begins with, at least one token.
    """

    def __init__(self, engine: Engine, table: TokenTable, prompt_ids: Sequence[int] = _PROMPT) -> None:
        self._engine = engine
        self._prompt_ids = tuple(prompt_ids)
        self._listener = _Measured()
        history = History(table, SamplingParams(), NoiseKey(bytes(NOISE_KEY_BYTES)), self._prompt_ids)
        self._seq = engine.open(self._prompt_ids, (), history, self._listener, method=Method.EXACT)

    def __enter__(self) -> Self:
        while self._seq.num_computed < len(self._prompt_ids) - 1:  # so that no round has to
            self._engine.step()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.close(self._seq)

    def fits(self, rows: int) -> bool:
        """Whether the engine takes so many rows in one step."""
        return rows - 1 <= self._engine.room(self._seq)

    def step(self, rows: int) -> StepReport:
        """Judge a draft of ``rows - 1`` tokens behind the prompt, and commit nothing.

        Raises:
            DraftmeshError: the engine cannot step.
        """
        done = len(self._listener.steps)
        self._engine.submit(self._seq, self._prompt_ids[:1] * (rows - 1))
        while len(self._listener.steps) == done:
            self._engine.step()
            if self._listener.error is not None:
                raise self._listener.error
        return self._listener.steps[-1]


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
    with StepProbe(engine, table) as probe:
        steps = [[probe.step(rows) for _ in range(_RUNS)] for rows in CALIBRATION_ROWS if probe.fits(rows)]
    engine.restart_meter(min(same, key=lambda step: step.milliseconds) for same in steps)
    _log.info("engine calibrated", step_ms={point.rows: round(point.milliseconds, 2) for point in engine.stats.costs})
