"""The costs as a value, and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.bench.plots import Plot, Series
from draftmesh.bench.rows.costs import RowCost
from draftmesh.bench.rows.engine_process import Memory


@dataclass(frozen=True, slots=True)
class EngineCosts:
    """One model, with packed weights or without."""

    parameters: int
    is_packed: bool
    packed_layers: int
    """Layers whose weights are packed; the others lose by it."""

    costs: tuple[RowCost, ...]
    memory: Memory | None
    """In use after all steps; None where the system does not tell."""

    @property
    def label(self) -> str:
        """Size and layout."""
        return f"{self.parameters / 1e6:.0f} M {'packed' if self.is_packed else 'unpacked'}"


@dataclass(frozen=True, slots=True)
class PackingMemory:
    """What packing adds for one model."""

    parameters: int
    added_bytes: int
    """The packed weights. The plain ones stay mapped, and can be taken back where nothing else uses them."""


@dataclass(frozen=True, slots=True)
class RowsResult:
    """The fields of the JSON object."""

    threads: int
    context_tokens: int
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
                is_dashed=not engine.is_packed,
            )
            for engine in self.engines
        )
        caption = f"expanded demo target, float32, {self.threads} threads, {self.context_tokens} tokens of context"
        return (Plot("Cost of one verification", "rows", "ms, fastest step", series, caption=caption),)


def packing_memory(engines: Sequence[EngineCosts]) -> tuple[PackingMemory, ...]:
    """Private memory of each model with packed weights, less that without: processes of their own that differ in it."""
    private = {
        (engine.parameters, engine.is_packed): engine.memory.private_bytes for engine in engines if engine.memory
    }
    sizes = dict.fromkeys(size for size, is_packed in private if is_packed and (size, False) in private)
    return tuple(PackingMemory(size, private[size, True] - private[size, False]) for size in sizes)
