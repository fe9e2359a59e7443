"""The recorder of a CUDA device.

What is recorded and replayed is proved on a CPU with another recorder of the same meaning;
``tests/unit/engine/test_cuda.py`` compares this one with the reference where there is a device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_WARM_UPS = 2
"""Runs before a graph is recorded, in which libraries allocate what they keep."""


@dataclass(frozen=True, slots=True)
class CudaGraph:
    """Satisfies :class:`draftmesh.engine.step_graphs.StepGraph`."""

    graph: torch.cuda.CUDAGraph
    output: Tensor

    def replay(self) -> None:
        """Compute again."""
        self.graph.replay()


def record_cuda_graph(compute: Callable[[], Tensor]) -> CudaGraph:
    """Run ``compute`` a few times on a stream of its own, and then record it."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            compute()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = compute()
    return CudaGraph(graph, output)
