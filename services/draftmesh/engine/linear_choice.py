"""Which layout a shape of linear layers gets, by measurement.

What is fastest with a weight in the cache is not what is fastest when it comes from memory, as it does in a large
model's step, and in a small one's beside a large one's. So many weights are multiplied in turn, and caches are swept
before every measurement. It is made with the threads that will multiply: one alone waits for memory less.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import takewhile

import torch
from torch import Tensor
from torch.nn import functional

from draftmesh.engine.packed_linear import LinearLayout, PackedLinear, column_major

_SEVERAL_ROWS = 8
_BLOCKS = (1, 2, 3, 4, 6, 8)  # rows that a packed product may be filled up to
_FEW_ROWS = (1, 2, 3, 4)  # that the plain weight may be faster with
_SAVES = 0.97  # a longer block, or a second weight, has to be worth it
_SMALL_BYTES = 3 << 20  # a second copy of such a weight, column by column, costs nothing to speak of
_MEASURED_WEIGHTS = 1 << 16  # packing anything smaller is known to lose
_SAMPLE_BYTES = 128 << 20  # of layers that are multiplied in turn
_SWEEP_BYTES = 48 << 20  # more than most caches hold
_MEASURE_ROUNDS = 5

_Way = Callable[[], None]


def measured_layout(weights: Sequence[Tensor]) -> LinearLayout:  # each [out, in]
    """The layout for all of them.

    Packed if that is faster for several rows. The plain weight is held as well if few rows are multiplied faster by it.
    """
    if weights[0].numel() < _MEASURED_WEIGHTS:
        return LinearLayout()
    sample = weights[: max(1, _SAMPLE_BYTES // weights[0].nbytes)]
    return _choose(sample, [PackedLinear(weight, None) for weight in sample])


def _choose(plain: Sequence[Tensor], packed: Sequence[PackedLinear]) -> LinearLayout:
    plain_several, packed_several = _fastest(_products(plain, _SEVERAL_ROWS), _products(packed, _SEVERAL_ROWS))
    pays = packed_several < plain_several
    columns = [column_major(weight) for weight in plain] if plain[0].nbytes <= _SMALL_BYTES else plain
    column_one, *costs = _fastest(
        _products(columns, 1),
        *(_products(plain, rows) for rows in _FEW_ROWS),
        *(_products(packed, rows) for rows in _BLOCKS if pays),
    )
    rows_cost, block_costs = costs[: len(_FEW_ROWS)], dict(zip(_BLOCKS, costs[len(_FEW_ROWS) :], strict=False))
    is_column_faster = columns is not plain and column_one < rows_cost[0]
    if not pays:
        return LinearLayout(column_major=is_column_faster)
    rows_cost[0] = min(rows_cost[0], column_one)
    least_rows = next(rows for rows, cost in block_costs.items() if _SAVES * cost <= min(block_costs.values()))
    plain_rows = _plain_rows(rows_cost, block_costs, least_rows)
    # Column by column, only a single row is multiplied faster.
    is_column_major = is_column_faster and plain_rows > 0
    return LinearLayout(True, least_rows, 1 if is_column_major else plain_rows, is_column_major)


def _plain_rows(plain_costs: Sequence[float], block_costs: dict[int, float], least_rows: int) -> int:
    """Up to how many rows the plain weight is faster than the packed one."""
    packed_costs = (
        next(cost for block, cost in block_costs.items() if block >= max(rows, least_rows)) for rows in _FEW_ROWS
    )
    is_faster = (plain < _SAVES * packed for plain, packed in zip(plain_costs, packed_costs, strict=True))
    return sum(1 for _ in takewhile(bool, is_faster))


def _products(layers: Sequence[Tensor] | Sequence[PackedLinear], rows: int) -> _Way:
    """Multiply with each of them in turn."""
    x = torch.ones(1, rows, _in_features(layers[0]), dtype=layers[0].dtype)

    def run() -> None:
        for layer in layers:
            if isinstance(layer, Tensor):
                functional.linear(x, layer)
            else:
                layer(x)

    return run


def _in_features(layer: Tensor | PackedLinear) -> int:
    return layer.shape[1] if isinstance(layer, Tensor) else layer.in_features


def _fastest(*ways: _Way) -> list[float]:
    """The shortest time of each way, in seconds; taken in turns, so that disturbances hit all alike."""
    best = [float("inf")] * len(ways)
    sweep = torch.ones(_SWEEP_BYTES // 4)
    for _ in range(_MEASURE_ROUNDS):
        for index, way in enumerate(ways):
            sweep.sum()
            started = time.perf_counter()
            way()
            best[index] = min(best[index], time.perf_counter() - started)
    return best
