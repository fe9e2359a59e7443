"""Which layout a shape of linear layers gets, by measurement.

What is fastest with a weight in the cache is not what is fastest when it comes from memory, as it does in a large
model's step, and in a small one's beside a large one's. So caches are swept before every measurement.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from draftmesh.engine.packed_linear import LinearLayout, PackedLinear, column_major

_SEVERAL_ROWS = 8
_BLOCKS = (1, 2, 4, 6, 8)  # rows that a packed product may be filled up to
_SAVES = 0.97  # a longer block has to be worth it
_MAY_COST = 1.25  # of a plain one-row product
_SECOND_WEIGHT_BYTES = 3 << 20  # larger weights are held once
_MEASURED_WEIGHTS = 1 << 16  # packing anything smaller is known to lose
_SAMPLE_BYTES = 4 << 20  # of layers that are multiplied in turn
_SWEEP_BYTES = 48 << 20  # more than most caches hold
_MEASURE_ROUNDS = 5

_Way = Callable[[], None]


def measured_layout(weights: Sequence[Tensor]) -> LinearLayout:  # each [out, in]
    """The layout for all of them.

    Packed if that is faster for several rows, and hardly slower for one. A small weight may be held twice instead, so
    that a single row costs no more than it has to.
    """
    if weights[0].numel() < _MEASURED_WEIGHTS:
        return LinearLayout()
    sample = weights[: max(1, _SAMPLE_BYTES // weights[0].nbytes)]
    with _single_thread():
        return _choose(sample, [PackedLinear(weight, None) for weight in sample])


def _choose(plain: Sequence[Tensor], packed: Sequence[PackedLinear]) -> LinearLayout:
    plain_several, packed_several = _fastest(_products(plain, _SEVERAL_ROWS), _products(packed, _SEVERAL_ROWS))
    pays = packed_several < plain_several
    small = plain[0].nbytes <= _SECOND_WEIGHT_BYTES
    columns = [column_major(weight) for weight in plain] if small else plain
    plain_one, column_one, *blocks = _fastest(
        _products(plain, 1), _products(columns, 1), *(_products(packed, rows) for rows in _BLOCKS if pays)
    )
    if not pays:
        return LinearLayout(column_major=small and column_one < plain_one)
    least_rows = _BLOCKS[next(i for i, cost in enumerate(blocks) if _SAVES * cost <= min(blocks))]
    if not small:
        return LinearLayout(packed=min(blocks) <= _MAY_COST * plain_one, least_rows=least_rows)
    single = min(plain_one, column_one) < min(blocks)
    return LinearLayout(True, least_rows, single, column_major=single and column_one < plain_one)


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


@contextmanager
def _single_thread() -> Iterator[None]:
    """One thread's processor time is the one measure that a busy machine hardly disturbs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _fastest(*ways: _Way) -> list[float]:
    """The shortest processor time of each way, in seconds; taken in turns, so that disturbances hit all alike."""
    best = [float("inf")] * len(ways)
    sweep = torch.ones(_SWEEP_BYTES // 4)
    for _ in range(_MEASURE_ROUNDS):
        for index, way in enumerate(ways):
            sweep.sum()
            started = time.thread_time()
            way()
            best[index] = min(best[index], time.thread_time() - started)
    return best
