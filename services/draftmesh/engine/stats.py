"""What an engine reports of its steps: moving averages, and the cost of a step by its number of rows."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.endpoint import CostPoint, LoadReport
from draftmesh.core.moving_average import MovingAverage

_WEIGHT = 0.05  # of the newest step, once an average has settled
_EXACT_BUCKETS = 8  # below this many rows every count has a bucket of its own; above, four to each doubling


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step of the engine."""

    rows: int
    """Token rows in the forward."""

    sequences: int
    """Sequences that shared it."""

    milliseconds: float
    """From scheduling to commit."""

    started: float
    """Monotonic clock, seconds."""

    forward_milliseconds: float = 0.0
    """Of ``milliseconds``, the model's forward; on a device that works by itself, until it has its orders."""

    looked_up_rows: int = 0
    """Of ``rows``, those of drafts that run drafters have made."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """The step that a look-up is for."""

    rows: int
    """Token rows of it without what is looked up."""

    spare_rows: int
    """That it could have beside those."""

    sequences: int
    """With a request, so that each gets a token at least."""

    lookers: int
    """Sequences that may look up, at least 1: it is taken that they do alike."""

    costs: tuple[CostPoint, ...]
    """Measured duration of a step by its number of rows."""


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A snapshot of an engine."""

    sequences: int
    """Open sequences."""

    max_sequences: int
    waiting: int
    """Sequences with work that the last step had no room for."""

    free_blocks: int
    """KV blocks that no sequence holds; cached prefixes count as free."""

    total_blocks: int
    batch_sequences: float
    """Mean sequences in a step (moving average)."""

    batch_rows: float
    """Mean rows in a step (moving average)."""

    token_budget: int
    """Rows of one step at most."""

    costs: tuple[CostPoint, ...]
    """Measured duration of a step by its number of rows."""

    steps: int
    rows: int
    """Rows of all steps so far."""

    sequence_steps: int
    """Sequences of all steps so far; divided by ``steps``, the mean batch occupancy."""

    preemptions: int
    prefix_hit_tokens: int
    """Tokens whose KV was found in the prefix cache instead of computed."""

    @property
    def load(self) -> LoadReport:
        """What those who watch are told of the engine; sessions and draining are the daemon's."""
        return LoadReport(
            waiting_sequences=self.waiting,
            kv_blocks_free=self.free_blocks,
            kv_blocks_total=self.total_blocks,
            batch_sequences=self.batch_sequences,
            token_budget=self.token_budget,
            costs=self.costs,
        )


class StepMeter:
    """Gathers step reports. Written by the engine's thread; its readers may be on any."""

    def __init__(self, token_budget: int) -> None:
        size = _bucket(token_budget) + 1
        self._rows = [MovingAverage(_WEIGHT) for _ in range(size)]
        self._milliseconds = [MovingAverage(_WEIGHT) for _ in range(size)]
        self._batch_sequences = MovingAverage(_WEIGHT)
        self._batch_rows = MovingAverage(_WEIGHT)
        self.steps = 0
        self.rows = 0
        self.sequence_steps = 0

    def add(self, report: StepReport) -> None:
        """Count one step."""
        self.steps += 1
        self.rows += report.rows
        self.sequence_steps += report.sequences
        self._batch_sequences.add(report.sequences)
        self._batch_rows.add(report.rows)
        self.add_cost(report)

    def add_cost(self, report: StepReport) -> None:
        """Let the cost curve alone learn from a step."""
        bucket = _bucket(report.rows)
        self._rows[bucket].add(report.rows)
        self._milliseconds[bucket].add(report.milliseconds)

    @property
    def batch_sequences(self) -> float:
        """Mean sequences in a step."""
        return self._batch_sequences.value

    @property
    def batch_rows(self) -> float:
        """Mean rows in a step."""
        return self._batch_rows.value

    @property
    def costs(self) -> tuple[CostPoint, ...]:
        """The cost curve, by growing rows; only sizes that have been seen."""
        pairs = zip(self._rows, self._milliseconds, strict=True)
        return tuple(CostPoint(round(rows.value), cost.value) for rows, cost in pairs if cost.count)


def _bucket(rows: int) -> int:
    if rows <= _EXACT_BUCKETS:
        return rows
    doublings = rows.bit_length() - 4  # 8..15 is doubling 0
    return _EXACT_BUCKETS + 4 * doublings + ((rows >> (doublings + 1)) & 3)
