"""The machine's GPUs, and how fast one reads its memory: the bound of a step that reads every weight once."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_BYTES = 1 << 30  # more than a cache holds
_COPIES = 20


def gpu_names() -> tuple[str, ...]:
    """One name for each."""
    import torch  # noqa: PLC0415 (slow to import: reports are loaded for every --help)

    return tuple(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))


def memory_gb_per_s(device: str) -> float | None:
    """GB that a CUDA device moves in a second, read and written, by the median of large copies; None for a CPU."""
    if not device.startswith("cuda"):
        return None
    import torch  # noqa: PLC0415

    source = torch.empty(_BYTES, dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    seconds = median(_copy_s(target, source) for _ in range(_COPIES))
    return 2 * _BYTES / seconds / 1e9


def _copy_s(target: Tensor, source: Tensor) -> float:
    import torch  # noqa: PLC0415

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    target.copy_(source)
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000.0
