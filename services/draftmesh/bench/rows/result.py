"""The costs as a value, and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.bench.plots import Plot, Series
from draftmesh.bench.rows.costs import RowCost
from draftmesh.bench.rows.engine_process import Memory

PACKED, UNPACKED = "packed", "unpacked"
"""Ways of a CPU: the layout of its weights."""

GRAPHS, KERNELS, RAGGED = "varlen_paged, graphs", "varlen_paged", "sdpa_ragged"
"""Ways of a GPU: how rows attend, and whether steps are replayed as graphs."""


@dataclass(frozen=True, slots=True)
class EngineCosts:
    """One model in one way."""

    parameters: int
    way: str
    """How its steps are computed, such as ``PACKED``."""

    weight_bytes: int
    packed_layers: int
    """Layers whose weights are packed; the others lose by it."""

    costs: tuple[RowCost, ...]
    memory: Memory | None
    """In use after all steps; None where the system does not tell."""

    @property
    def label(self) -> str:
        """Size and way."""
        return f"{self.parameters / 1e6:.0f} M {self.way}"


@dataclass(frozen=True, slots=True)
class PackingMemory:
    """What packing adds for one model."""

    parameters: int
    added_bytes: int
    """The packed weights. The plain ones stay mapped, and can be taken back where nothing else uses them."""


@dataclass(frozen=True, slots=True)
class RowsResult:
    """The fields of the JSON object."""

    device: str
    dtype: str
    threads: int
    context_tokens: int
    memory_gb_per_s: float | None
    """Of a GPU: what it moves, read and written."""

    engines: tuple[EngineCosts, ...]
    memory: tuple[PackingMemory, ...]
    """Where the system tells."""

    def plots(self) -> Sequence[Plot]:
        """Fastest steps by rows."""
        series = tuple(
            Series(
                engine.label,
                tuple(cost.rows for cost in engine.costs),
                tuple(cost.fastest_ms for cost in engine.costs),
                is_dashed=engine.way != self.engines[0].way,
            )
            for engine in self.engines
        )
        where = f"{self.threads} threads" if self.device == "cpu" else self.device
        caption = f"expanded demo target, {self.dtype}, {where}, {self.context_tokens} tokens of context"
        return (Plot("Cost of one verification", "rows", "ms, fastest step", series, caption=caption),)


def packing_memory(engines: Sequence[EngineCosts]) -> tuple[PackingMemory, ...]:
    """Private memory of each model with packed weights, less that without: processes of their own that differ in it."""
    private = {(engine.parameters, engine.way): engine.memory.private_bytes for engine in engines if engine.memory}
    sizes = dict.fromkeys(size for size, way in private if way == PACKED and (size, UNPACKED) in private)
    return tuple(PackingMemory(size, private[size, PACKED] - private[size, UNPACKED]) for size in sizes)
