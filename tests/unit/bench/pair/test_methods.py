"""The benchmark of methods, on generators that answer at once."""

from __future__ import annotations

import pytest

from draftmesh.bench.pair.methods import BenchPlan, BenchRow, Setting, bench_methods
from draftmesh.bench.pair.result import BenchResult
from draftmesh.cli.bench.pair_tables import print_bench
from draftmesh.cli.painting import report_console
from draftmesh.inspection.sizes import ModelSizes
from tests.unit.inspection.scripted_generator import ScriptedGenerator, silent_psi_meter

SETTINGS = (
    Setting("off", "off", "alone"),
    Setting("exact", "exact", "pair"),
    Setting("slrs", "slrs", "pair"),
    Setting("auto", "auto", "pair", is_seeded=False),
)
PLAN = BenchPlan(SETTINGS, ("a", "b"), (0.0, 1.0), repeats=3, max_tokens=10, seed=7, auto_warm_up=5)


def generators() -> dict[str, ScriptedGenerator]:
    """A target alone, and a pair that has no slrs."""
    return {"alone": ScriptedGenerator({"off": 0}), "pair": ScriptedGenerator({"exact": 4, "auto": 4})}


async def measure(clients: dict[str, ScriptedGenerator]) -> tuple[BenchRow, ...]:
    """All rows, without a word."""
    psi_meter = silent_psi_meter()
    return await bench_methods(clients, PLAN, psi_meter=psi_meter, progress=lambda _: None)


async def test_a_row_has_all_repeats() -> None:
    """Acceptance is that of all generations; what is not offered says why."""
    rows = await measure(generators())
    assert [(row.label, row.trial.temperature) for row in rows] == [
        (setting.label, temperature) for temperature in (0.0, 1.0) for setting in SETTINGS
    ]
    by_label = {row.label: row for row in rows}
    figures = by_label["exact"].trial.figures
    assert figures is not None
    assert (figures.generations, figures.tokens, figures.acceptance_rate) == (6, 60, 0.5)
    assert (by_label["slrs"].trial.figures, by_label["slrs"].trial.refusal) == (None, "no slrs here")
    assert by_label["auto"].trial.chosen == {"exact": 6}


async def test_rows_take_turns_prompt_by_prompt() -> None:
    """Another one begins each time; warming up comes before all of it."""
    clients = generators()
    await measure(clients)
    asked = [(method, temperature) for _, method, temperature, _ in clients["pair"].asked]
    warm_up = [cell for temperature in (0.0, 1.0) for cell in [("exact", temperature), ("slrs", temperature)]]
    warm_up = [*warm_up[:2], *[("auto", 0.0)] * 5, *warm_up[2:], *[("auto", 1.0)] * 5]
    turns = [*[("exact", "auto")] * 2, ("auto", "exact")] * 2
    measured = [(method, temperature) for temperature in (0.0, 1.0) for turn in turns for method in turn]
    assert asked == [*warm_up, *measured]


async def test_a_repeat_has_seeds_of_its_own() -> None:
    """The same for all settings but those that want none."""
    clients = generators()
    await measure(clients)
    seeds = {
        method: [seed for _, asked, _, seed in client.asked[-100:] if asked == method]
        for method, client in (("off", clients["alone"]), ("exact", clients["pair"]), ("auto", clients["pair"]))
    }
    assert seeds["off"] == seeds["exact"]
    assert len(set(seeds["exact"])) == 6
    assert set(seeds["auto"]) == {None}


@pytest.mark.parametrize("is_expanded", [True, False])
async def test_the_table_says_what_was_measured(is_expanded: bool) -> None:
    """An expanded target is told, with the cost ratio beside it; a row that is not offered has no numbers."""
    result = BenchResult(
        target="demo",
        drafter="small",
        is_expanded=is_expanded,
        sizes=ModelSizes(220_000_000, 3_000_000),
        cost_ratio=0.05,
        cores=2,
        verifier_threads=1,
        drafter_threads=1,
        off_threads=2,
        prompts=2,
        max_tokens=10,
        repeats=3,
        rows=await measure(generators()),
    )
    console = report_console()
    with console.capture() as capture:
        print_bench(result, console)
    text = capture.get()
    assert ("expanded demo target" in text) is is_expanded
    assert "slrs: not offered" in text
    for words in ("220 M", "0.05 of a target's", "2 cores; threads: target 1, drafter 1, off 2", "0.500"):
        assert words in text
