"""Steps in turns, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from draftmesh.bench.rows.costs import RowCost, measure_costs
from draftmesh.bench.rows.engine_process import Memory
from draftmesh.bench.rows.result import (
    GRAPHS,
    PACKED,
    UNPACKED,
    EngineCosts,
    PackingMemory,
    RowsResult,
    packing_memory,
)
from draftmesh.cli.bench.rows import RowsOptions
from draftmesh.cli.bench.rows_tables import print_rows
from draftmesh.cli.painting import report_console
from draftmesh.core.errors import ConfigError


class ScriptedSteps:
    """Steps whose milliseconds are given, one after the other; notes what it was asked in a list of all engines."""

    def __init__(self, name: str, milliseconds: Sequence[float], asked: list[tuple[str, int]]) -> None:
        self._name = name
        self._milliseconds = iter(milliseconds)
        self._asked = asked

    async def step_ms(self, rows: int) -> float:
        """The next one."""
        self._asked.append((self._name, rows))
        return next(self._milliseconds)


async def test_engines_and_sizes_take_turns() -> None:
    """Every repeat goes through all sizes, each with all engines; the first repeat does not count."""
    asked: list[tuple[str, int]] = []
    engines = {
        "packed": ScriptedSteps("packed", [99.0, 99.0, 1.0, 4.0, 3.0, 6.0, 2.0, 5.0], asked),
        "unpacked": ScriptedSteps("unpacked", [99.0, 99.0, 7.0, 8.0, 7.0, 8.0, 7.0, 8.0], asked),
    }
    costs = await measure_costs(engines, (1, 4), repeats=3, progress=lambda _: None)
    assert asked == [("packed", 1), ("unpacked", 1), ("packed", 4), ("unpacked", 4)] * 4
    assert costs["packed"] == (RowCost(1, 1.0, 2.0, 3), RowCost(4, 4.0, 5.0, 3))
    assert costs["unpacked"] == (RowCost(1, 7.0, 7.0, 3), RowCost(4, 8.0, 8.0, 3))


def engine(parameters: int, *, is_packed: bool, private_bytes: int | None) -> EngineCosts:
    """Two sizes; packed weights make four rows as cheap as one."""
    costs = (RowCost(1, 10.0, 11.0, 5), RowCost(4, 12.0 if is_packed else 25.0, 26.0, 5))
    memory = None if private_bytes is None else Memory(private_bytes, 0)
    way = PACKED if is_packed else UNPACKED
    return EngineCosts(parameters, way, 4 * parameters, 7 * is_packed, costs, memory)


def test_packing_adds_what_the_processes_differ_by() -> None:
    """By model; nothing is said of a model whose memory is not told."""
    engines = [
        engine(200_000_000, is_packed=True, private_bytes=1_500_000_000),
        engine(200_000_000, is_packed=False, private_bytes=700_000_000),
        engine(800_000_000, is_packed=True, private_bytes=4_000_000_000),
        engine(800_000_000, is_packed=False, private_bytes=None),
    ]
    assert packing_memory(engines) == (PackingMemory(200_000_000, 800_000_000),)


def result() -> RowsResult:
    """One model."""
    engines = tuple(
        engine(200_000_000, is_packed=is_packed, private_bytes=1_000_000_000 + 500_000_000 * is_packed)
        for is_packed in (True, False)
    )
    return RowsResult("cpu", "float32", 2, 256, None, engines, packing_memory(engines))


def test_the_table_compares_with_one_row() -> None:
    """Fastest, median, share; and the memory that packing adds."""
    console = report_console()
    with console.capture() as capture:
        print_rows(result(), console)
    text = capture.get()
    for words in (
        "200 M packed",
        "12.0 (26.0) 1.20×",
        "25.0 (26.0) 2.50×",
        "1.50 GB",
        "2 threads; 256 tokens of context; 5 steps of each size",
        "packing 200 M parameters adds 500 MB",
    ):
        assert words in text


def test_a_gpu_is_compared_with_what_its_memory_allows() -> None:
    """The time to read all weights, as a share of the fastest step."""
    engines = (
        replace(engine(7_000_000_000, is_packed=False, private_bytes=None), way=GRAPHS, weight_bytes=14 * 10**9),
    )
    console = report_console()
    with console.capture() as capture:
        print_rows(RowsResult("cuda", "bfloat16", 2, 256, 2800.0, engines, ()), console)
    text = capture.get()
    assert "expanded demo target, bfloat16; cuda; 256 tokens of context" in text
    assert "the memory moves 2800 GB/s. 7000 M: reading the weights takes 5.00 ms, 50% of the fastest step" in text


def test_the_plot_has_a_line_for_each_engine() -> None:
    """Unpacked ones are dashed."""
    (plot,) = result().plots()
    assert [(series.label, series.is_dashed, tuple(series.y)) for series in plot.series] == [
        ("200 M packed", False, (10.0, 12.0)),
        ("200 M unpacked", True, (10.0, 25.0)),
    ]


@pytest.mark.parametrize(
    "options",
    [
        RowsOptions(parameters=()),
        RowsOptions(rows=()),
        RowsOptions(rows=(1, 1)),
        RowsOptions(rows=(0,)),
        RowsOptions(repeats=0),
        RowsOptions(threads=-1),
        RowsOptions(device="mps"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: RowsOptions) -> None:
    """Before models are loaded."""
    with pytest.raises(ConfigError):
        options.check()
