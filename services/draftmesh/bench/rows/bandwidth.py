"""How fast a GPU reads its memory: the bound of a step that reads every weight once."""

from __future__ import annotations

from statistics import median

import torch

_BYTES = 1 << 30  # more than a cache holds
_COPIES = 20


def read_gb_per_s(device: str) -> float | None:
    """GB that a CUDA device moves in a second, read and written, by the median of large copies; None for a CPU."""
    if not device.startswith("cuda"):
        return None
    source = torch.empty(_BYTES, dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    seconds = median(_copy_s(target, source) for _ in range(_COPIES))
    return 2 * _BYTES / seconds / 1e9


def _copy_s(target: torch.Tensor, source: torch.Tensor) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    target.copy_(source)
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000.0
