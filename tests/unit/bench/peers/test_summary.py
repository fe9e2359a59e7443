"""From what was handed in to ratios, a table and plots."""

from __future__ import annotations

import json

import pytest

from draftmesh.bench.peers.result import OFF, PLAIN, SLEM, TLI, PeersResult, Setup
from draftmesh.bench.peers.summary import sum_up
from draftmesh.bench.peers.turns import Entry, TurnPlan, take_turns
from draftmesh.bench.reports import as_json
from draftmesh.cli.bench.peers_tables import print_peers
from draftmesh.cli.painting import report_console
from draftmesh.inspection.sizes import ModelSizes
from tests.unit.bench.peers.scripted import ScriptedContestant

PLAN = TurnPlan(prompts=((1,), (2,), (3,)), repeats=2, max_tokens=10, seed=7)
SETUP = Setup(
    target="demo",
    drafter="small",
    is_expanded=True,
    sizes=ModelSizes(220_000_000, 3_000_000),
    cost_ratio=0.05,
    dtype="float32",
    threads=2,
    verifier_threads=1,
    drafter_threads=1,
    is_pinned=False,
    prompts=3,
    repeats=2,
    max_tokens=10,
)
DRAFTING = {0.0: "exact", 1.0: "tli"}


def entries() -> list[Entry]:
    """Everybody at T = 0 and T = 1; drafting ways have 4 of 8 tokens accepted in 4 rounds."""
    return [
        Entry(PLAIN, 0.0, ScriptedContestant(10.0)),
        Entry(SLEM, 0.0, ScriptedContestant(8.0, drafted=8, accepted=4)),
        Entry(OFF, 0.0, ScriptedContestant(11.0)),
        Entry("exact", 0.0, ScriptedContestant(30.0, drafted=8, accepted=4)),
        Entry(PLAIN, 1.0, ScriptedContestant(10.0)),
        Entry(SLEM, 1.0, ScriptedContestant(5.0, drafted=8, accepted=4)),
        Entry(TLI, 1.0, ScriptedContestant(12.5, drafted=8, accepted=4)),
        Entry(OFF, 1.0, ScriptedContestant(11.0)),
        Entry("tli", 1.0, ScriptedContestant(20.0, drafted=8, accepted=4)),
    ]


async def measured(done: list[Entry]) -> PeersResult:
    """Their result."""
    await take_turns(done, PLAN, progress=lambda _: None)
    return sum_up(done, DRAFTING, SETUP)


async def test_ratios_have_names() -> None:
    """Above 1 where draftmesh is faster; at T = 1 assisted generation is TLI, as transformers chooses."""
    result = await measured(entries())
    assert result.t0_vs_greedy == pytest.approx(3.0)
    assert result.t0_vs_assisted == pytest.approx(30 / 8)
    assert result.t1_vs_sampling == pytest.approx(2.0)
    assert result.t1_vs_assisted == pytest.approx(1.6)
    assert result.off_vs_greedy == pytest.approx(1.1)
    assert result.drafting_methods == {"0": "exact", "1": "tli"}


async def test_a_row_tells_acceptance_and_texts() -> None:
    """Sums over all tasks; texts compare at T = 0 alone."""
    result = await measured(entries())
    exact = next(row for row in result.rows if row.label == "exact")
    assert (exact.drafted_tokens, exact.acceptance_rate, exact.acceptance_length) == (48, 0.5, 2.0)
    assert (exact.tokens, exact.equal_texts, exact.ways) == (60, 6, {"SLEM": 6})
    off, tli = (next(row for row in result.rows if (row.label, row.temperature) == key) for key in _KEYS)
    assert (off.drafted_tokens, off.acceptance_rate, off.acceptance_length) == (0, None, None)
    assert tli.equal_texts is None


_KEYS = ((OFF, 0.0), ("tli", 1.0))


async def test_other_texts_are_counted() -> None:
    """A way that says something else on two of three prompts has a third of the texts."""
    done = entries()
    await take_turns(done, PLAN, progress=lambda _: None)
    exact = done[3]
    exact.served = [one if one.ids[0] == 1 else type(one)((9,), one.seconds) for one in exact.served]
    row = next(row for row in sum_up(done, DRAFTING, SETUP).rows if row.label == "exact")
    assert row.equal_texts == 2


async def test_without_a_peer_there_is_no_ratio() -> None:
    """It is None, not a number; the table says why."""
    done = entries()
    done[1] = Entry(SLEM, 0.0, ScriptedContestant(8.0, fails_from=2))
    result = await measured(done)
    assert result.t0_vs_assisted is None
    assert result.t0_vs_greedy == pytest.approx(3.0)
    assert "transformers SLEM: it crashed" in printed(result)


async def test_the_table_says_what_was_measured() -> None:
    """Sizes and cost ratio stand beside every speed-up."""
    text = printed(await measured(entries()))
    for words in (
        "expanded demo target of 220 M parameters, drafter small of 3.0 M; a drafter's step takes 0.05 of a target's",
        "peers and off 2, verifier 1, drafter 1, on all cores; float32; 3 prompts of 10 tokens, 2 times",
        "30.0 (30.0–30.0)",
        "3.00 (3.00–3.00)",
        "6 of 6",
        "t1_vs_assisted 1.60",
    ):
        assert words in text


async def test_the_json_object_holds_the_ratios_and_everything_else() -> None:
    """As the last line of ``--json`` has it."""
    figures = json.loads(json.dumps(as_json(await measured(entries()))))
    assert figures["t0_vs_greedy"] == pytest.approx(3.0)
    assert len(figures["rows"]) == 9
    assert figures["setup"]["sizes"]["target"] == 220_000_000
    assert figures["machine"]["cores"] > 0


async def test_there_is_a_plot_for_each_temperature() -> None:
    """With plain generation as the level to compare with."""
    plots = (await measured(entries())).plots()
    assert [plot.title for plot in plots] == ["One stream at T = 0", "One stream at T = 1"]
    assert plots[0].reference == pytest.approx(10.0)
    assert plots[0].series[0].x == (PLAIN, SLEM, OFF, "exact")
    assert plots[0].series[0].y == pytest.approx((10.0, 8.0, 11.0, 30.0))


def printed(result: PeersResult) -> str:
    """What people see."""
    console = report_console()
    with console.capture() as capture:
        print_peers(result, console)
    return capture.get()
